"""Runs on a page: the table in which they are ticked, and the chosen view of their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.entities import ModelVersion, Run
from core.features.runs.compare import Comparison
from pages._runs import run_charts, run_tables
from pages._ui import charts, escaping, messages, pickers

DETAILS = "One run"
VIEWS = ("Differences", "Bars", "Scatter", "Parallel coordinates", "Over data versions", DETAILS)


def ticked_runs(runs: Sequence[Run], versions: Mapping[str, Sequence[ModelVersion]]) -> list[str]:
    """The table of runs; returns the ids that are ticked, and those of the address that are on another page."""
    linked = [run_id for run_id in st.query_params.get("runs", "").split(",") if run_id]
    here = [run.run_id for run in runs]
    metrics = run_tables.metric_names(runs)
    event = escaping.table(
        run_tables.run_rows(runs, versions, metrics),
        style=messages.coloured,
        height=min(36 * (len(runs) + 1) + 3, 400),
        on_select="rerun",
        placeholder="–",
        selection_mode="multi-row",
        selection_default={
            "selection": {"rows": [here.index(one) for one in linked if one in here], "columns": [], "cells": []}
        },
        column_config={
            **{name: st.column_config.NumberColumn(format="%.4f") for name in metrics},
            "TrainRows": st.column_config.NumberColumn(format="%d"),
            "TestRows": st.column_config.NumberColumn(format="%d"),
            "Started": messages.time_column("Started"),
        },
        key=f"runs_table_{here[0]}_{len(here)}",
        alt="Runs, newest first, with data version, model version and KPIs",
    )
    ticked = [here[row] for row in event.selection.rows] + [run_id for run_id in linked if run_id not in here]
    if ticked != linked:
        st.query_params["runs"] = ",".join(ticked)
    return ticked


def picture(view: str, found: Comparison) -> None:
    """The chosen view of the compared runs, with the pickers that it needs."""
    runs, metrics = found.runs, run_tables.metric_names(found.runs)
    if view == "Differences":
        only = st.toggle("Only differences", value=True, key="runs_only", bind="query-params")
        rows = run_tables.comparison_rows(found, only_differences=only)
        escaping.table(
            rows,
            style=run_tables.coloured,
            column_config={
                "": st.column_config.Column(pinned=True),
                **{name: st.column_config.Column(width="medium") for name in rows.columns[1:]},
            },
            alt="Params and metrics of each run, with the difference from the baseline",
        )
        return
    if not metrics:
        st.info("These runs logged no metric.")
        return
    left, right = st.columns(2)
    metric = pickers.choose("KPI", metrics, "runs_metric", at=left) or metrics[0]
    if view == "Bars":
        figure = run_charts.bars(found, metric)
    elif view == "Scatter":
        names = ["DataV", *(name for name in found.params if name != "DataV")]
        param = pickers.choose("Parameter", names, "runs_param", at=right) or names[0]
        figure = run_charts.scatter(found, param, metric)
    elif view == "Parallel coordinates":
        names = [name for name in found.params if name not in ("DataV", "ModelV")]
        differing = [one for one in found.differing_params if one in names and all(one in run.params for run in runs)]
        shown = pickers.choose_some("Through", names, "runs_through", default=differing[:4], at=right)
        through = [*[name for name in metrics if name != metric][:3], metric]
        lines = run_charts.complete(runs, shown, through)
        _left_out(len(runs) - len(lines), len(runs), "lack a data version or a value")
        figure = run_charts.parallel(lines, shown, through)
    else:
        _left_out(sum(run.data is None for run in runs), len(runs), "logged no data version")
        figure = run_charts.over_versions(runs, metric)
    figure.update_xaxes(automargin=True).update_yaxes(automargin=True)
    figure.update_layout(legend={"orientation": "h", "y": 1.15, "yanchor": "bottom"})
    charts.show(figure, key=f"runs_{view}", height=420, alt=f"{view}: {metric} of {len(runs)} runs")


def _left_out(count: int, of: int, why: str) -> None:
    if count:
        st.caption(f"{count} of {of} runs {why} and are left out.")
