"""Charts of the pictures of one model, or of several on the same axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.entities import Task
from core.learning.pictures.classification import RIGHT
from core.learning.pictures.pictures import ConfusionMatrix, Curve, Histogram, Pictures
from pages._ui import charts, escaping, messages
from pages._ui.charts import plain
from pages._ui.texts import t, tn

_SIDE_BY_SIDE = 2
_DASHES = ("solid", "dash", "dot", "dashdot")

# Name of a model, and its pictures.
Named = Mapping[str, Pictures]


def show(named: Named, *, key: str) -> None:
    """Show every picture that the models have. Models of another task than the first one are left out."""
    task = next(iter(named.values())).task
    named = {name: pictures for name, pictures in named.items() if pictures.task is task}
    rows = {pictures.rows for pictures in named.values()}
    st.caption(
        " · ".join(
            tn("{name}: {n} test row", "{name}: {n} test rows", pictures.rows, name=messages.plain(name))
            for name, pictures in named.items()
        )
    )
    if len(rows) > 1:
        st.warning(
            t(
                "The models were tested on different rows, so these pictures do not compare exactly. **Head to head** "
                "compares them on the same rows."
            ),
            icon=":material/difference:",
        )
    drawn = _classification(named) if task is Task.CLASSIFICATION else _regression(named)
    drawn += _both(named)
    columns = st.columns(_SIDE_BY_SIDE)
    for place, (title, figure) in enumerate(drawn):
        with columns[place % _SIDE_BY_SIDE]:
            # The legend stands below the title of the axis, a line per series.
            series = sum(trace.name is not None for trace in figure.data)
            figure.update_layout(title=title, legend={"y": -0.3, "yanchor": "top"}, showlegend=series > 1)
            charts.show(figure, alt=title, key=f"{key}_{place}", height=340 + 19 * series * (series > 1))
    _class_table(named)


def _classification(named: Named) -> list[tuple[str, go.Figure]]:
    drawn = [
        (t("Confusion matrix of {name}", name=name), _matrix(pictures.confusion))
        for name, pictures in named.items()
        if pictures.confusion is not None
    ]
    curves: tuple[tuple[str, str, str, Callable[[Pictures], tuple[Curve, ...]], bool], ...] = (
        (t("ROC curve"), t("false positive rate"), t("true positive rate"), lambda p: p.roc, True),
        (t("Precision and recall"), t("recall"), t("precision"), lambda p: p.precision_recall, False),
        (t("Calibration"), t("mean probability"), t("share of the class"), lambda p: p.calibration, True),
    )
    for title, x, y, pick, has_diagonal in curves:
        if any(pick(pictures) for pictures in named.values()):
            drawn.append((title, _curves(named, pick, x=x, y=y, has_diagonal=has_diagonal)))
    for name, pictures in named.items():
        if pictures.scores is not None:
            drawn.append((t("Probability of the answer, {name}", name=name), _scores(pictures.scores)))
    return drawn


def _regression(named: Named) -> list[tuple[str, go.Figure]]:
    return [
        (t("Predicted against actual"), _predicted_actual(named)),
        (t("Residuals (predicted minus actual)"), _residuals(named)),
        (t("Distribution of the residuals"), _residual_distribution(named)),
    ]


def _both(named: Named) -> list[tuple[str, go.Figure]]:
    drawn = []
    if any(pictures.importance for pictures in named.values()):
        drawn.append((t("Permutation importance"), _importance(named)))
    for name, pictures in named.items():
        if pictures.learning_curve is not None:
            curve = pictures.learning_curve
            series = {t("training rows"): curve.training, t("test rows"): curve.test}
            figure = charts.line(curve.rounds, series, title="", x_title=plain(curve.parameter))
            drawn.append((t("Learning curve of {name}", name=name), figure))
    return drawn


def _matrix(matrix: ConfusionMatrix) -> go.Figure:
    """Return the matrix, coloured by the share of each actual class; the numbers are rows."""
    labels = [plain(label) for label in matrix.labels]
    shares = [[count / max(sum(row), 1) for count in row] for row in matrix.counts]
    figure = go.Figure(
        go.Heatmap(
            x=labels,
            y=labels,
            z=shares,
            zmin=0,
            zmax=1,
            text=[list(map(str, row)) for row in matrix.counts],
            texttemplate="%{text}" if len(labels) <= 12 else None,
            colorscale="Blues",
            showscale=False,
            hovertemplate=t("actual {y}, predicted {x}: {rows} rows", y="%{y}", x="%{x}", rows="%{text}")
            + "<extra></extra>",
        )
    )
    figure.update_xaxes(title=t("predicted"), type="category")
    figure.update_yaxes(title=t("actual"), type="category", autorange="reversed")
    return figure


def _curves(
    named: Named, pick: Callable[[Pictures], tuple[Curve, ...]], *, x: str, y: str, has_diagonal: bool
) -> go.Figure:
    """Return one line per model and class: the colour is the class, the dash the model."""
    figure, palette = go.Figure(), charts.colours()
    labels = list(dict.fromkeys(curve.label for pictures in named.values() for curve in pick(pictures)))
    for place, (name, pictures) in enumerate(named.items()):
        for curve in pick(pictures):
            words = f"{name} · {curve.label}" if len(named) > 1 else curve.label
            figure.add_scatter(
                name=plain(words if curve.summary is None else f"{words} ({curve.summary:.3f})"),
                x=list(curve.x),
                y=list(curve.y),
                mode="lines",
                line={
                    "color": palette[labels.index(curve.label) % len(palette)],
                    "dash": _DASHES[place % len(_DASHES)],
                },
            )
    if has_diagonal:
        figure.add_shape(type="line", x0=0, y0=0, x1=1, y1=1, line={"dash": "dot", "width": 1, "color": "#7F8C99"})
    figure.update_xaxes(title=x, range=[-0.02, 1.02])
    figure.update_yaxes(title=y, range=[-0.02, 1.02])
    return figure


def _scores(scores: Histogram) -> go.Figure:
    figure = go.Figure()
    names = {RIGHT: t("right")}
    for name, counts in scores.counts.items():
        figure.add_bar(name=plain(names.get(name, t("wrong"))), x=_middles(scores), y=list(counts))
    figure.update_layout(barmode="stack", bargap=0.05)
    figure.update_xaxes(title=t("probability of the predicted class"), range=[0, 1])
    figure.update_yaxes(title=t("rows"))
    return figure


def _predicted_actual(named: Named) -> go.Figure:
    figure = _points(named, lambda actual, predicted: predicted)
    values = [v for p in named.values() if p.predicted_actual for v in (*p.predicted_actual.x, *p.predicted_actual.y)]
    if values:
        low, high = min(values), max(values)
        line = {"dash": "dot", "width": 1, "color": "#7F8C99"}
        figure.add_shape(type="line", x0=low, y0=low, x1=high, y1=high, line=line)
    figure.update_layout(xaxis_title=t("actual"), yaxis_title=t("predicted"))
    return figure


def _residuals(named: Named) -> go.Figure:
    figure = _points(named, lambda actual, predicted: predicted - actual)
    figure.add_hline(y=0, line={"dash": "dot", "width": 1, "color": "#7F8C99"})
    figure.update_layout(xaxis_title=t("actual"), yaxis_title=t("predicted minus actual"))
    return figure


def _points(named: Named, height: Callable[[float, float], float]) -> go.Figure:
    figure = go.Figure()
    for name, pictures in named.items():
        sample = pictures.predicted_actual
        if sample is not None:
            y = [height(actual, predicted) for actual, predicted in zip(sample.x, sample.y, strict=True)]
            figure.add_scatter(name=plain(name), x=list(sample.x), y=y, mode="markers", marker={"opacity": 0.6})
    return figure


def _residual_distribution(named: Named) -> go.Figure:
    figure = go.Figure()
    for name, pictures in named.items():
        if pictures.residuals is not None:
            counts = next(iter(pictures.residuals.counts.values()), ())
            shares = [count / max(sum(counts), 1) for count in counts]
            figure.add_scatter(
                name=plain(name), x=_middles(pictures.residuals), y=shares, mode="lines", line={"shape": "hvh"}
            )
    figure.update_layout(xaxis_title=t("predicted minus actual"), yaxis_title=t("share of rows"))
    figure.update_yaxes(tickformat=".0%")
    return figure


def _importance(named: Named) -> go.Figure:
    """Return one bar per column and model, the most important column of the first model on top."""
    figure = go.Figure()
    order = list(dict.fromkeys(entry.column for pictures in named.values() for entry in pictures.importance))[:15]
    for name, pictures in named.items():
        entries = {entry.column: entry for entry in pictures.importance}
        shown = [entries[column] for column in order if column in entries]
        figure.add_bar(
            name=plain(name),
            orientation="h",
            y=[plain(entry.column) for entry in shown],
            x=[entry.mean for entry in shown],
            error_x={"type": "data", "array": [entry.deviation for entry in shown]},
        )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(xaxis_title=t("how much the leading KPI worsens"), barmode="group")
    return figure


def _class_table(named: Named) -> None:
    rows = [
        {
            **({t("Model"): name} if len(named) > 1 else {}),
            t("Class"): entry.label,
            "precision": entry.precision,
            "recall": entry.recall,
            "f1": entry.f1,
            t("Rows"): entry.rows,
        }
        for name, pictures in named.items()
        for entry in pictures.classes
    ]
    if rows:
        number = st.column_config.NumberColumn(format="%.4f")
        escaping.table(
            pd.DataFrame(rows),
            alt=t("KPIs per class"),
            column_config=dict.fromkeys(("precision", "recall", "f1"), number),
        )


def _middles(histogram: Histogram) -> list[float]:
    return [(low + high) / 2 for low, high in zip(histogram.edges, histogram.edges[1:], strict=False)]
