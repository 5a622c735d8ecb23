"""Inert on a page: tables, texts and blocks whose content is data. Pages show such content through here alone.

What reads Markdown (headings, captions, messages, labels) takes `messages.plain` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.delta_generator import DeltaGenerator

from core.escaping import cell, cells, visible


def table(
    rows: pd.DataFrame | Sequence[Mapping[str, object]],
    *,
    at: DeltaGenerator | None = None,
    style: Callable[[pd.DataFrame], Styler] | None = None,
    column_config: Mapping[str, Any] | None = None,
    column_order: Sequence[str] | None = None,
    alt: str = "",
    **options: Any,
) -> Any:
    """`st.dataframe` without its index. No cell and no header is a formula to whom it is exported, and none hides
    anything: what a cell shows is what its CSV holds. *style* colours the frame as it is shown.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    names = _headers(list(frame.columns))
    # Built anew by place: two columns may have one name only before they are told apart.
    shown = pd.DataFrame({names[place]: _column(frame.iloc[:, place]) for place in range(len(names))})
    told = dict(zip(frame.columns, names, strict=True))
    return (at or st).dataframe(
        shown if style is None else style(shown),
        hide_index=True,
        column_config={told.get(name, name): value for name, value in (column_config or {}).items()} or None,
        column_order=None if column_order is None else [told[name] for name in column_order],
        alt=visible(alt) or None,
        **options,
    )


def text(body: object, *, at: DeltaGenerator | None = None, **options: Any) -> None:
    """Lines as they were written, in the letters of the page."""
    (at or st).text(visible(body, keep="\n\t"), **options)


def code(body: object, *, at: DeltaGenerator | None = None) -> None:
    """Lines as they were written, in letters of one width."""
    (at or st).code(visible(body, keep="\n\t"), language=None)


def _headers(names: Sequence[Any]) -> list[str]:
    """Names of columns, each once, inert."""
    found: list[str] = []
    for name in names:
        shown, number = cell(str(name)), 2
        while shown in found:
            shown, number = f"{cell(str(name))} ({number})", number + 1
        found.append(shown)
    return found


def _column(values: pd.Series) -> pd.Series:
    """Text made inert; numbers, times and truth values are what they were."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if not (pd.api.types.is_object_dtype(values.dtype) or pd.api.types.is_string_dtype(values.dtype)):
        return values
    return pd.Series([_cells(value) for value in values], index=values.index, dtype=object)


def _cells(value: Any) -> Any:
    # Arrow hands lists over as arrays.
    return cells(value.tolist() if hasattr(value, "tolist") and getattr(value, "ndim", 0) > 0 else value)
