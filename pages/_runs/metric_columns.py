"""Columns of metrics in a table: numbers, or texts where a value is NaN or infinite, which numbers cannot show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.learning.kpis import is_kpi
from pages._runs.run_tables import number


def metric_cells(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> list[dict[str, object]]:
    """Return the cells of the metrics *names* for each row; an absent value is None."""
    texts = _columns_of_text(rows, names)
    return [
        {name: number(row[name]) if name in texts and name in row else row.get(name) for name in names} for row in rows
    ]


def metric_config(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> dict[str, Any]:
    """Return the formats of the columns of `metric_cells`."""
    texts = _columns_of_text(rows, names)
    return {
        name: st.column_config.NumberColumn(format="%.4f" if is_kpi(name) else "%d")
        for name in names
        if name not in texts
    }


def _columns_of_text(rows: Sequence[Mapping[str, float]], names: Sequence[str]) -> set[str]:
    return {name for name in names if any(not math.isfinite(row.get(name, 0.0)) for row in rows)}
