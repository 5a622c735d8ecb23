"""Pictures of a prediction batch: class or value distribution, alone or beside another batch, and drift."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import PredictionBatch
from core.features.scoring.score import ANSWER, STAMP
from core.learning.drift import measure_drift
from pages._ui import charts, escaping


def distributions(
    batch: PredictionBatch, rows: pd.DataFrame, reference: PredictionBatch | None, reference_rows: pd.DataFrame | None
) -> None:
    """Predictions and, where the model gives them, probabilities; with a reference also its drift, column by column."""
    groups = {f"{batch.key} on {batch.source}": rows}
    if reference is not None and reference_rows is not None:
        groups = {f"{reference.key} on {reference.source} ({reference.batch_id[:6]})": reference_rows} | groups
    left, right = st.columns(2)
    with left:
        values = {name: frame["prediction"] for name, frame in groups.items()}
        if pd.api.types.is_numeric_dtype(rows["prediction"]):
            figure = charts.grouped_histogram(values, title="Predicted values")
        else:
            figure = charts.grouped_shares(values, title="Predicted classes")
        charts.show(figure, alt="Distribution of the predictions of " + ", ".join(groups), key="batch_predictions")
    with right:
        if rows["probability"].notna().any():
            figure = charts.grouped_histogram(
                {name: frame["probability"] for name, frame in groups.items()}, title="Probability of the chosen class"
            )
            charts.show(figure, alt="Distribution of the probability of the chosen class", key="batch_probability")
        else:
            escaping.table(rows["prediction"].describe().to_frame().reset_index(names="statistic"))
    if reference_rows is not None:
        _drift(reference_rows, rows)


def ordered(rows: pd.DataFrame) -> list[str]:
    """Answer first, then what it was made from, then the stamp."""
    return [*ANSWER, *(name for name in rows.columns if name not in (*ANSWER, *STAMP)), *STAMP]


def _drift(reference: pd.DataFrame, current: pd.DataFrame) -> None:
    st.subheader("Drift")
    lines = []
    for name in ("prediction", *(c for c in current.columns if c not in (*STAMP, *ANSWER))):
        if name not in reference or reference[name].dropna().empty or current[name].dropna().empty:
            continue
        drift = measure_drift(reference[name], current[name])
        lines.append({"Column": name, "PSI": drift.psi, "Verdict": drift.word, drift.test: drift.p_value})
    st.caption("PSI below 0.1 is stable, above 0.25 a large shift; the other columns are p-values of the named test.")
    escaping.table(pd.DataFrame(lines), key="batch_drift")
