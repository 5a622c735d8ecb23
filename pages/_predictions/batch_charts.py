"""Charts of a prediction batch: the distribution of classes or values, alone or beside another batch, and drift."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import PredictionBatch
from core.features.scoring.score import ANSWER, STAMP
from core.learning.drift import measure_drift
from pages._ui import charts, escaping
from pages._ui.texts import t


def distributions(
    batch: PredictionBatch, rows: pd.DataFrame, reference: PredictionBatch | None, reference_rows: pd.DataFrame | None
) -> None:
    """Draw predictions and, where the model returns them, probabilities; with a reference also the drift per column."""
    groups = {_name(batch): rows}
    if reference is not None and reference_rows is not None:
        groups = {f"{_name(reference)} ({reference.batch_id[:6]})": reference_rows} | groups
    left, right = st.columns(2)
    with left:
        values = {name: frame["prediction"] for name, frame in groups.items()}
        if pd.api.types.is_numeric_dtype(rows["prediction"]):
            figure = charts.grouped_histogram(values, title=t("Predicted values"))
        else:
            figure = charts.grouped_shares(values, title=t("Predicted classes"))
        charts.show(
            figure,
            alt=t("Distribution of the predictions of {batches}", batches=", ".join(groups)),
            key="batch_predictions",
        )
    with right:
        if rows["probability"].notna().any():
            figure = charts.grouped_histogram(
                {name: frame["probability"] for name, frame in groups.items()},
                title=t("Probability of the predicted class"),
            )
            charts.show(
                figure, alt=t("Distribution of the probability of the predicted class"), key="batch_probability"
            )
        else:
            escaping.table(rows["prediction"].describe().to_frame().reset_index(names=t("Statistic")))
    if reference_rows is not None:
        _drift(reference_rows, rows)


def ordered(rows: pd.DataFrame) -> list[str]:
    """Return the columns: the prediction first, then the features, then the columns that identify the batch."""
    return [*ANSWER, *(name for name in rows.columns if name not in (*ANSWER, *STAMP)), *STAMP]


def _name(batch: PredictionBatch) -> str:
    return t("{model} on {data}", model=batch.key, data=batch.source)


def _drift(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    st.subheader(t("Drift"))
    rows = []
    for name in ("prediction", *(c for c in current.columns if c not in (*STAMP, *ANSWER))):
        if name not in reference or reference[name].dropna().empty or current[name].dropna().empty:
            continue
        drift = measure_drift(reference[name], current[name])
        rows.append({t("Column"): name, t("PSI"): drift.psi, t("Verdict"): drift.word, drift.test: drift.p_value})
    st.caption(
        t("A PSI below 0.1 is stable, a PSI above 0.25 is a large shift. The last columns hold p-values of their test.")
    )
    escaping.table(pd.DataFrame(rows), key="batch_drift")
