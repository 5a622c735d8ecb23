"""Predictions: score a data version, past batches with their distributions, and links to model and data."""

from __future__ import annotations

import re

import streamlit as st

from core.access.permissions import Action
from core.entities import DataSource, Job, PredictionBatch
from core.features.data.browse import list_tables, table_history
from core.features.jobs.jobs import count_jobs, list_jobs, show_job
from core.features.runs.models import ModelSummary, list_models
from core.features.scoring.batches import list_batches
from core.features.scoring.score import ANSWER, submit_scoring
from pages._predictions import batch_charts, batch_views
from pages._ui import cached_readers, jobs, messages, pickers, session
from pages._ui.texts import t

JOB = "predictions_job"
CHARTED_ROWS = 50_000

actor = session.require(Action.PREDICTION_READ)
stores = session.stores()
moment = session.moment()


def score_form() -> None:
    """Let the viewer score a version of a table with the model version in Production; a worker runs the job."""
    models = [model for model in list_models(stores, actor) if model.production is not None]
    if not models:
        st.info(t("No model is in Production yet. Request a promotion on the page **Promotions** to score."))
        return
    left, middle, right = st.columns([3, 3, 4])
    name = pickers.model(models, "predictions_model", at=left)
    model = next((model for model in models if model.name == name), None)
    tables = [table.name for table in list_tables(stores, actor) if table.problem is None]
    trained_on = next((data.table for data in _training_data(model)), None) if model else None
    index = tables.index(trained_on) if trained_on in tables else 0
    table = pickers.choose(t("Table"), tables, "predictions_table", at=middle, index=index)
    if model is None or table is None:
        return
    version = pickers.data_version(table_history(stores, actor, table), "predictions_version", at=right)
    st.caption(
        t(
            "Scores with version {version} of {model}, which is in Production.",
            version=model.production,
            model=messages.plain(model.name),
        )
    )
    with st.form("predictions_score", border=False):
        into = st.text_input(t("Write predictions to the table"), value=_predictions_table(model.name), max_chars=128)
        reason = st.text_input(t("Reason (kept in the audit log)"), max_chars=500)
        if st.form_submit_button(t("Score"), type="primary", icon=":material/play_arrow:"):
            with messages.show_errors():
                job = submit_scoring(
                    stores, actor, model=model.name, table=table, version=version, into=into.strip(), reason=reason
                )
                pickers.preselect(JOB, job.id)


def _predictions_table(model: str) -> str:
    """Return a valid table name for the predictions of any model name."""
    return f"{re.sub(r'[^A-Za-z0-9_-]+', '_', model)}_predictions"[-128:]


def _training_data(model: ModelSummary) -> tuple[DataSource, ...]:
    """Return the data versions that trained the version in Production."""
    return next((version.data for version in model.versions if version.version == model.production), ())


def scorings() -> None:
    """Show all scorings, and the one that the address names or else the one that runs."""
    total = count_jobs(stores, actor, kind="score")
    if not total:
        if JOB in st.query_params:
            show_job(stores, actor, st.query_params[JOB])
        return
    with st.expander(t("All scorings"), expanded=JOB in st.query_params, icon=":material/history:"):
        chosen = jobs.history(stores, actor, total, kind="score", key=JOB, label=scoring_label)
    live = list_jobs(stores, actor, kind="score", live_only=True, limit=1)
    shown = chosen or next((job.id for job in live), None)
    if shown:
        jobs.watch(stores, actor, shown, key="predictions_watch")


def scoring_label(job: Job) -> str:
    """Return one line for a list of scorings."""
    version = f"{job.arguments.get('model')}/{job.arguments.get('model_version')}"
    data = f"{job.arguments.get('table')}@{job.arguments.get('version')}"
    return jobs.label(t("{model} on {data}", model=version, data=data), job)


def batch_view(batches: tuple[PredictionBatch, ...]) -> None:
    """Show the chosen batch, alone or compared with another batch of the same model."""
    labels = {batch.batch_id: batch_views.label(batch) for batch in batches}
    left, right = st.columns(2)
    chosen = pickers.choose(t("Batch"), list(labels), "predictions_batch", labels=labels, at=left)
    batch = next(batch for batch in batches if batch.batch_id == chosen)
    others = [other.batch_id for other in batches if other.model == batch.model and other is not batch]
    other = pickers.choose(t("Compare with"), others, "predictions_reference", labels=labels, at=right, index=None)
    batch_views.back_links(batch)
    batch_views.source_warning(stores, actor, batch)
    reference = next((batch for batch in batches if batch.batch_id == other), None)
    # Drift needs every column; the charts alone need only the predictions.
    columns = ANSWER if reference is None else None
    batch_charts.distributions(
        batch,
        cached_readers.batch_sample(stores, actor, batch, columns, CHARTED_ROWS),
        reference,
        None if reference is None else cached_readers.batch_sample(stores, actor, reference, columns, CHARTED_ROWS),
    )
    if max(shown.rows for shown in (batch, reference) if shown is not None) > CHARTED_ROWS:
        st.caption(t("Charts and drift use an even sample of at most {most:,} rows of each batch.", most=CHARTED_ROWS))
    batch_views.rows(stores, actor, batch)


st.title(t("Predictions"))
if moment is None and session.may(actor, Action.PREDICTION_SCORE):
    with st.expander(t("Score a data version"), expanded=True, icon=":material/play_arrow:"), messages.show_errors():
        score_form()
with messages.show_errors():
    if moment is None:
        scorings()
with messages.stop_on_error():
    batches = list_batches(stores, actor, at=moment)
    if not batches and moment is not None:
        st.info(t("Nothing had been scored by then."))
        st.stop()
    if not batches:
        st.info(t("No predictions yet. A data scientist scores a data version with the model in Production."))
        st.stop()
    st.subheader(t("Batches"))
    batch_views.batches_table(batches)
    batch_view(batches)
