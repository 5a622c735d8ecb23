"""Parallel coordinates of runs: one line per run through the parameters and metrics that the viewer chooses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

from core.entities import Run
from core.features.runs.compare import Comparison
from core.learning.kpis import is_lower_better
from pages._runs import run_tables
from pages._runs.run_charts import colour, param_value
from pages._ui import messages, pickers
from pages._ui.charts import plain
from pages._ui.texts import t

DATA_VERSION = "DataV"
_COUNTS = ("TrainRows", "TestRows")
_MOST_PARAMS, _MOST_METRICS = 4, 3
# An axis with more words than this is not chosen beforehand: each run has its own, such as a path.
_MOST_WORDS = 20

Value = float | str | None


def choose_axes(found: Comparison, metric: str) -> tuple[list[str], list[str]]:
    """Draw the pickers of the axes; return the parameters and the metrics, *metric* last.

    Axes are chosen beforehand if they differ between the runs and most runs have a value.
    """
    runs = found.runs
    params = [DATA_VERSION, *(name for name in found.params if name not in (DATA_VERSION, "ModelV"))]
    metrics = [name for name in run_tables.metric_names(run.metrics for run in runs) if name != metric]
    values = {name: [axis_value(run, name, is_metric=False) for run in runs] for name in params}
    measured = {name: [axis_value(run, name, is_metric=True) for run in runs] for name in metrics}
    left, right = st.columns(2)
    shown = pickers.choose_some(
        t("Parameters"),
        params,
        "runs_through",
        default=[name for name in params if _is_telling(values[name])][:_MOST_PARAMS],
        at=left,
    )
    through = pickers.choose_some(
        t("Metrics"),
        metrics,
        "runs_metrics",
        default=[name for name in metrics if name not in _COUNTS and _is_telling(measured[name])][:_MOST_METRICS],
        at=right,
    )
    return shown, [*through, metric]


def axis_value(run: Run, name: str, *, is_metric: bool) -> Value:
    """Return the value of a run on an axis; None where the run has none, or one that is not finite."""
    value = run.metrics.get(name) if is_metric else param_value(run, name)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def lines(found: Comparison, params: Sequence[str], metrics: Sequence[str]) -> list[Run]:
    """Return the runs that have a value on each axis, and say how many lack one, and where."""
    absent = {
        name: sum(axis_value(run, name, is_metric=is_metric) is None for run in found.runs)
        for names, is_metric in ((params, False), (metrics, True))
        for name in names
    }
    complete = [
        run
        for run in found.runs
        if all(axis_value(run, name, is_metric=False) is not None for name in params)
        and all(axis_value(run, name, is_metric=True) is not None for name in metrics)
    ]
    if len(complete) < len(found.runs):
        sentence = t(
            "{count} of {total} runs are not shown, because they lack a value: {names}.",
            count=len(found.runs) - len(complete),
            total=len(found.runs),
            names=", ".join(f"{name} ({count})" for name, count in absent.items() if count),
        )
        st.caption(messages.plain(sentence))
    return complete


def figure(runs: Sequence[Run], params: Sequence[str], metrics: Sequence[str]) -> go.Figure:
    """Return one line per run, coloured by the last metric."""
    dimensions = [_dimension(_label(name), [axis_value(run, name, is_metric=False) for run in runs]) for name in params]
    dimensions += [_dimension(plain(name), [axis_value(run, name, is_metric=True) for run in runs]) for name in metrics]
    line: dict[str, object] = {"color": colour(0)}
    last = [run.metrics[metrics[-1]] for run in runs]
    if last and min(last) < max(last):
        line = {
            "color": last,
            "colorscale": "Cividis",
            "reversescale": bool(is_lower_better(metrics[-1])),
            "showscale": True,
            "colorbar": {"title": plain(metrics[-1])},
        }
    drawn = go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    return drawn.update_layout(margin={"l": 90, "r": 60, "t": 60, "b": 24})


def _is_telling(values: Sequence[Value]) -> bool:
    present = [value for value in values if value is not None]
    words = {value for value in present if isinstance(value, str)}
    return len(set(present)) > 1 and len(present) * 2 >= len(values) and len(words) <= _MOST_WORDS


def _label(name: str) -> str:
    return t("Data version") if name == DATA_VERSION else plain(name)


def _dimension(label: str, values: Sequence[Value]) -> dict[str, object]:
    """Return one axis: numbers as they are; texts numbered, with the texts as ticks."""
    if all(isinstance(value, float | int) for value in values):
        return {"label": label, "values": list(values)}
    words = sorted({str(value) for value in values})
    return {
        "label": label,
        "values": [words.index(str(value)) for value in values],
        "tickvals": list(range(len(words))),
        "ticktext": [plain(word) for word in words],
    }
