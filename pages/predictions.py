"""Predictions: score a data version, past batches, what they look like, and the way back to model and data."""

from __future__ import annotations

import re

import pandas as pd
import streamlit as st

from core.entities import PredictionBatch, TableVersion
from core.permissions import Action
from core.services.browse import list_tables, table_history
from core.services.jobs import list_jobs
from core.services.models import ModelSummary, list_models
from core.services.score import batch_predictions, list_batches, submit_scoring
from pages.shared import batch_charts, inert, jobs, links, messages, pickers, session

SAMPLE_ROWS = 200

actor = session.require(Action.PREDICTION_READ)
stores = session.stores()


def score_form() -> None:
    """What is in Production scores a chosen version of a table; a worker does it."""
    serving = [one for one in list_models(stores, actor) if one.production is not None]
    if not serving:
        st.info("Nothing is in Production yet, so nothing can score. Ask for it on the page **Promotions**.")
        return
    left, middle, right = st.columns(3)
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
                st.session_state["predictions_job"] = job.id


def _free_name(model: str) -> str:
    """A name of a table for its predictions, whatever a model is called."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', model)}_predictions"[-128:]


def _data(model: ModelSummary) -> tuple[TableVersion, ...]:
    """What the version in Production was trained on."""
    return next((v.data for v in model.versions if v.version == model.production), ())


def batches_table(batches: tuple[PredictionBatch, ...]) -> None:
    rows = [
        {
            "batch": batch.batch_id,
            "time": batch.time,
            "model": str(batch.key),
            "data": str(batch.source),
            "rows": batch.rows,
            "into": str(batch.into),
            "by": batch.actor,
        }
        for batch in batches
    ]
    inert.table(
        pd.DataFrame(rows),
        column_config={"time": messages.time_column("time")},
        key="predictions_list",
    )


def back_links(batch: PredictionBatch) -> None:
    query = f"SELECT * FROM {batch.into.table} WHERE batch_id = '{batch.batch_id}' LIMIT 100"  # noqa: S608 -- shown
    data = {"tables_table": batch.source.table, "tables_version": str(batch.source.version)}
    with st.container(horizontal=True):
        links.link("lineage", "Lineage", lineage_from="a prediction batch", lineage_batch=batch.batch_id)
        links.link(
            "models", messages.plain(batch.key), models_model=batch.model, models_version=str(batch.model_version)
        )
        links.link("tables", messages.plain(batch.source), **data)
        links.link("sql", "Look at it by SQL", sql_query=query)


def batch_view(batches: tuple[PredictionBatch, ...]) -> None:
    words = {b.batch_id: f"{b.key} on {b.source} · {b.rows} rows · {messages.local(b.time)}" for b in batches}
    left, right = st.columns(2)
    chosen = pickers.choose("Batch", list(words), "predictions_batch", words=words, at=left)
    batch = next(b for b in batches if b.batch_id == chosen)
    others = {b.batch_id: words[b.batch_id] for b in batches if b.model == batch.model and b.batch_id != batch.batch_id}
    other = pickers.choose("Compare with", list(others), "predictions_reference", words=others, at=right, index=None)
    back_links(batch)
    rows = batch_predictions(stores, actor, batch).to_pandas()
    reference = next((b for b in batches if b.batch_id == other), None)
    batch_charts.distributions(
        batch, rows, reference, None if reference is None else batch_predictions(stores, actor, reference).to_pandas()
    )
    st.subheader("Rows")
    st.caption(f"The first {min(SAMPLE_ROWS, len(rows))} of {len(rows)} rows of {messages.plain(batch.into)}.")
    inert.table(rows.head(SAMPLE_ROWS), key="predictions_rows", column_order=batch_charts.ordered(rows))


st.title("Predictions")
if session.may(actor, Action.PREDICTION_SCORE):
    with st.expander("Score a data version", expanded=True, icon=":material/play_arrow:"), messages.telling():
        score_form()
running = st.session_state.get("predictions_job") or next(
    (job.id for job in list_jobs(stores, actor, kind="score", live_only=True)), None
)
if running:
    jobs.watch(stores, actor, running, key="predictions_watch")
with messages.stopping():
    found = list_batches(stores, actor)
    if not found:
        st.info("No predictions yet. A data scientist scores a data version with whatever is in Production.")
        st.stop()
    st.subheader("Batches")
    batches_table(found)
    batch_view(found)
