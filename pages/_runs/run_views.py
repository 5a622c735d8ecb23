"""Runs on a page: the table to select runs in, and the chosen view of their comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import streamlit as st

from core.entities import ModelVersion, Run
from core.features.runs.compare import Comparison
from core.learning.kpis import SYSTEM_PREFIX
from core.texts import text
from pages._runs import parallel_coordinates, run_charts, run_tables
from pages._runs.metric_columns import metric_cells, metric_config
from pages._ui import charts, escaping, messages, pickers
from pages._ui.texts import t, tn, translated

DIFFERENCES, BARS, SCATTER = text("Differences"), text("Bars"), text("Scatter")
PARALLEL, OVER_VERSIONS, DETAILS = text("Parallel coordinates"), text("Over data versions"), text("One run")
PICTURES = text("Pictures")
VIEWS = (DIFFERENCES, BARS, SCATTER, PARALLEL, OVER_VERSIONS, PICTURES, DETAILS)
# What MLflow says about one run, its pictures included, is the present record.
EARLIER_VIEWS = (DIFFERENCES, BARS, SCATTER, PARALLEL, OVER_VERSIONS)


def linked_runs() -> list[str]:
    """Return the ids of the runs that the address selects."""
    return [run_id for run_id in st.query_params.get("runs", "").split(",") if run_id]


def selected_runs(runs: Sequence[Run], versions: Mapping[str, Sequence[ModelVersion]]) -> list[str]:
    """Draw the table of *runs*; return the selected ids in the order of selection, with those on other pages."""
    linked = linked_runs()
    if linked != st.session_state.get("runs_seen"):
        # The address was changed by a link or by the browser's button Back: it decides, not the table drawn before.
        st.session_state["runs_table"] = st.session_state.get("runs_table", 0) + 1
    here = [run.run_id for run in runs]
    chosen = [run_id for run_id in linked if run_id in here]
    if runs:
        chosen = _table(runs, versions, chosen)
    elsewhere = [run_id for run_id in linked if run_id not in here]
    selected = [*(run_id for run_id in linked if run_id in elsewhere or run_id in chosen)]
    selected += [run_id for run_id in chosen if run_id not in linked]
    if selected != linked:
        st.query_params["runs"] = ",".join(selected)
    st.session_state["runs_seen"] = selected
    if elsewhere:
        sentence = tn(
            "{n} selected run is not on this page.", "{n} selected runs are not on this page.", len(elsewhere)
        )
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(messages.plain(sentence), width="content")
            if st.button(t("Clear the selection"), icon=":material/deselect:", type="tertiary", key="runs_clear"):
                st.query_params.pop("runs", None)
                st.rerun()
    return selected


def _table(runs: Sequence[Run], versions: Mapping[str, Sequence[ModelVersion]], chosen: Sequence[str]) -> list[str]:
    """Draw one row per run, with the *chosen* runs selected, and return the runs that are selected now."""
    here = [run.run_id for run in runs]
    logged = [run.metrics for run in runs]
    metrics = [name for name in run_tables.metric_names(logged) if not name.startswith(SYSTEM_PREFIX)]
    # Streamlit keeps a selection as numbers of rows: other rows are another table.
    rows_digest = hashlib.sha256(repr((here, st.session_state.get("runs_table"))).encode()).hexdigest()[:16]
    event = escaping.table(
        run_tables.run_rows(runs, versions, metric_cells(logged, metrics)),
        style=messages.coloured,
        height=min(36 * (len(runs) + 1) + 3, 400),
        on_select="rerun",
        placeholder="–",
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [here.index(run_id) for run_id in chosen], "columns": [], "cells": []},
        },
        column_config={
            **metric_config(logged, metrics),
            t("Started"): messages.time_column(t("Started")),
        },
        key=f"runs_table_{rows_digest}",
        alt=t("Runs, with data version, model version and KPIs"),
    )
    return [here[row] for row in event.selection.rows]


def chart(view: str, found: Comparison) -> None:
    """Draw the chosen view of the compared runs, with the pickers that it needs."""
    runs, metrics = found.runs, run_tables.metric_names(run.metrics for run in found.runs)
    if view == DIFFERENCES:
        only = st.toggle(t("Only differences"), value=True, key="runs_only", bind="query-params")
        rows = run_tables.comparison_rows(found, only_differences=only)
        escaping.table(
            rows,
            style=run_tables.coloured,
            column_config={
                t("Field"): st.column_config.Column(pinned=True, width=190),
                **{name: st.column_config.Column(width="medium") for name in rows.columns[1:]},
            },
            alt=t("Parameters and metrics of each run, with the difference from the baseline"),
        )
        return
    if not metrics:
        st.info(t("These runs logged no metrics."))
        return
    left, right = st.columns(2)
    metric = pickers.choose(t("KPI"), metrics, "runs_metric", at=left) or metrics[0]
    if view == BARS:
        figure = run_charts.bars(found, metric)
    elif view == SCATTER:
        names = ["DataV", *(name for name in found.params if name != "DataV")]
        param = pickers.choose(t("Parameter"), names, "runs_param", at=right) or names[0]
        figure = run_charts.scatter(found, param, metric)
    elif view == PARALLEL:
        params, through = parallel_coordinates.choose_axes(found, metric)
        lines = parallel_coordinates.lines(found, params, through)
        if not lines:
            st.info(t("No run has a value on every axis. Remove a parameter or a metric."))
            return
        figure = parallel_coordinates.figure(lines, params, through)
    else:
        missing = sum(not run_charts.trained_on(run) for run in runs)
        if missing:
            st.caption(
                t(
                    "{count} of {total} runs are not shown: they logged no data version.",
                    count=missing,
                    total=len(runs),
                )
            )
        figure = run_charts.over_versions(runs, metric)
    figure.update_xaxes(automargin=True).update_yaxes(automargin=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.15, "yanchor": "bottom"})
    charts.show(
        figure,
        key=f"runs_{view}",
        height=420,
        alt=tn(
            "{view}: {metric} of {n} run",
            "{view}: {metric} of {n} runs",
            len(runs),
            view=translated(view),
            metric=metric,
        ),
    )
