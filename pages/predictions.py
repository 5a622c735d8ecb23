"""Predictions: score a data version, past batches, what they look like, and the way back to model and data."""

from __future__ import annotations

import re

import streamlit as st

from core.access.permissions import Action
from core.entities import Job, PredictionBatch, TableVersion
from core.features.data.browse import list_tables, table_history
from core.features.jobs.jobs import count_jobs, list_jobs, show_job
from core.features.runs.models import ModelSummary, list_models
from core.features.scoring.batches import list_batches
from core.features.scoring.score import ANSWER, submit_scoring
from pages._predictions import batch_charts, batch_views
from pages._ui import cached_readers, jobs, messages, pickers, session

JOB = "predictions_job"
CHARTED_ROWS = 50_000

actor = session.require(Action.PREDICTION_READ)
stores = session.stores()


def score_form() -> None:
    """What is in Production scores a chosen version of a table; a worker does it."""
    serving = [one for one in list_models(stores, actor) if one.production is not None]
    if not serving:
        st.info("Nothing is in Production yet, so nothing can score. Ask for it on the page **Promotions**.")
        return
    left, middle, right = st.columns([3, 3, 4])
    name = pickers.model(serving, "predictions_model", at=left)
    tables = [one.name for one in list_tables(stores, actor) if one.problem is None]
    trained_on = next((d.table for one in serving if one.name == name for d in _data(one)), None)
    index = tables.index(trained_on) if trained_on in tables else 0
    table = pickers.choose("Table", tables, "predictions_table", at=middle, index=index)
    if name is None or table is None:
        return
    version = pickers.data_version(table_history(stores, actor, table), "predictions_version", at=right)
    production = next(one.production for one in serving if one.name == name)
    st.caption(f"Version {production} of {messages.plain(name)} is in Production and will score.")
    with st.form("predictions_score", border=False):
        into = st.text_input("Write predictions into the table", value=_free_name(name), max_chars=128)
        reason = st.text_input("Reason (kept in the audit log)", max_chars=500)
        if st.form_submit_button("Score", type="primary", icon=":material/play_arrow:"):
            with messages.telling():
                job = submit_scoring(
                    stores, actor, model=name, table=table, version=version, into=into.strip(), reason=reason
                )
                pickers.ask(JOB, job.id)


def _free_name(model: str) -> str:
    """A name of a table for its predictions, whatever a model is called."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', model)}_predictions"[-128:]


def _data(model: ModelSummary) -> tuple[TableVersion, ...]:
    """What the version in Production was trained on."""
    return next((v.data for v in model.versions if v.version == model.production), ())


def scorings() -> None:
    """The scoring that the address names, else the one that runs; and all of them, how each ended too."""
    total = count_jobs(stores, actor, kind="score")
    if not total:
        if JOB in st.query_params:
            show_job(stores, actor, st.query_params[JOB])
        return
    with st.expander("Scorings, past and present", expanded=JOB in st.query_params, icon=":material/history:"):
        chosen = jobs.past(stores, actor, total, kind="score", key=JOB, told=job_words)
    live = list_jobs(stores, actor, kind="score", live_only=True, limit=1)
    shown = chosen or next((job.id for job in live), None)
    if shown:
        jobs.watch(stores, actor, shown, key="predictions_watch")


def job_words(job: Job) -> str:
    """One scoring in a list."""
    asked = job.arguments
    what = f"{asked.get('model')}/{asked.get('model_version')} on {asked.get('table')}@{asked.get('version')}"
    return jobs.words(what, job)


def batch_view(batches: tuple[PredictionBatch, ...]) -> None:
    words = {b.batch_id: f"{b.key} on {b.source} · {b.rows} rows · {messages.local(b.time)}" for b in batches}
    left, right = st.columns(2)
    chosen = pickers.choose("Batch", list(words), "predictions_batch", words=words, at=left)
    batch = next(b for b in batches if b.batch_id == chosen)
    others = {b.batch_id: words[b.batch_id] for b in batches if b.model == batch.model and b.batch_id != batch.batch_id}
    other = pickers.choose("Compare with", list(others), "predictions_reference", words=others, at=right, index=None)
    batch_views.back_links(batch)
    reference = next((b for b in batches if b.batch_id == other), None)
    # Drift is told column by column; the pictures need the answers alone.
    columns = ANSWER if reference is None else None
    batch_charts.distributions(
        batch,
        cached_readers.batch_sample(stores, actor, batch, columns, CHARTED_ROWS),
        reference,
        None if reference is None else cached_readers.batch_sample(stores, actor, reference, columns, CHARTED_ROWS),
    )
    if max(one.rows for one in (batch, reference) if one is not None) > CHARTED_ROWS:
        st.caption(f"Pictures and drift are of an even sample of at most {CHARTED_ROWS:,} rows of each batch.")
    batch_views.rows(stores, actor, batch)


st.title("Predictions")
if session.may(actor, Action.PREDICTION_SCORE):
    with st.expander("Score a data version", expanded=True, icon=":material/play_arrow:"), messages.telling():
        score_form()
with messages.telling():
    scorings()
with messages.stopping():
    found = list_batches(stores, actor)
    if not found:
        st.info("No predictions yet. A data scientist scores a data version with whatever is in Production.")
        st.stop()
    st.subheader("Batches")
    batch_views.batches_table(found)
    batch_view(found)
