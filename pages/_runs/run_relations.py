"""What belongs to one run on a page: its parent and nested runs, its datasets, and the models that it logged."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.entities import LoggedModel, ModelOutput
from core.features.runs.runs import RunView
from core.learning.kpis import SYSTEM_PREFIX
from pages._runs.run_tables import metric_names, number, run_label
from pages._runs.run_views import DETAILS, DIFFERENCES
from pages._ui import escaping, links, messages
from pages._ui.texts import t, tn


def parent(view: RunView) -> None:
    """Link to the run in which this run is nested."""
    if view.parent is not None:
        label = t("Nested in {run}", run=messages.plain(run_label(view.parent)))
        links.link("runs", label, runs=view.parent.run_id, runs_view=DETAILS)
    elif view.run.parent_id:
        st.caption(t("Nested in the run {run}, which is not in MLflow.", run=messages.plain(view.run.parent_id)))


def children(view: RunView) -> None:
    """Show the nested runs, collapsed; a row opens its run."""
    runs = view.children.runs
    if not runs:
        return
    label = (
        tn("{n} nested run", "{n} nested runs", len(runs))
        if view.children.next_token is None
        else t("The newest {n} nested runs", n=len(runs))
    )
    metrics = [name for name in metric_names(run.metrics for run in runs) if not name.startswith(SYSTEM_PREFIX)][:6]
    with st.expander(label, icon=":material/account_tree:", key="runs_children"):
        nested = ",".join(run.run_id for run in runs[:50])
        links.link("runs", t("Compare the nested runs"), runs=nested, runs_view=DIFFERENCES)
        event = escaping.table(
            pd.DataFrame(
                [
                    {
                        t("Run"): run_label(run),
                        t("Status"): messages.label(run.status),
                        **{name: number(run.metrics.get(name)) for name in metrics},
                        t("Started"): run.started,
                    }
                    for run in runs
                ]
            ),
            style=messages.coloured,
            placeholder="–",
            on_select="rerun",
            selection_mode="single-row",
            column_config={t("Started"): messages.time_column(t("Started"))},
            key=f"runs_children_{view.run.run_id}",
            alt=t("Nested runs, newest first"),
        )
        if event.selection.rows:
            st.query_params["runs"] = runs[event.selection.rows[0]].run_id
            st.query_params.pop("runs_detail", None)
            st.rerun()


def datasets(view: RunView) -> None:
    """Show the datasets that the run logged, with their context: training, evaluation."""
    if not view.run.inputs:
        return
    st.markdown(f"**{t('Datasets')}**")
    rows = [
        {
            t("Dataset"): item.name,
            t("Context"): item.context,
            t("Digest"): item.digest,
            t("Source"): item.source_type,
        }
        for item in view.run.inputs
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Datasets of the run"))


def models(view: RunView) -> None:
    """Show the models that the run logged, by step, with their own metrics and the dataset of each."""
    if not view.models:
        return
    st.markdown(f"**{t('Logged models')}**")
    versions = {version.model_id: str(version.key) for version in view.versions if version.model_id}
    escaping.table(
        pd.DataFrame([row for output, model in view.models for row in _model_rows(output, model, versions)]),
        placeholder="–",
        alt=t("Models that the run logged, with their metrics"),
    )
    if len(view.models) < len(view.run.outputs):
        st.caption(
            t("The last {n} of {total} logged models are shown.", n=len(view.models), total=len(view.run.outputs))
        )


def _model_rows(output: ModelOutput, model: LoggedModel | None, versions: Mapping[str, str]) -> list[dict[str, object]]:
    """Return one row per dataset on which the metrics of the model were measured; one row if there is no metric."""
    fixed = {
        t("Step"): output.step,
        t("Model"): model.name if model else output.model_id,
        t("Model version"): versions.get(output.model_id),
        t("Status"): model.status if model else t("not in MLflow"),
    }
    by_dataset: dict[str | None, list[str]] = {}
    for metric in sorted(model.metrics if model else (), key=lambda metric: metric.name):
        label = f"{metric.dataset} ({metric.digest})" if metric.dataset and metric.digest else metric.dataset
        by_dataset.setdefault(label, []).append(f"{metric.name} {number(metric.value)}")
    return [
        {**fixed, t("Dataset"): dataset, t("Metrics"): ", ".join(values)}
        for dataset, values in (by_dataset or {None: []}).items()
    ]
