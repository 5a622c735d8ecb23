"""Tables, texts and code blocks whose content is data. Pages show data only through this module.

Places that read Markdown (headings, captions, messages, labels) take `messages.plain` instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler
from streamlit.delta_generator import DeltaGenerator

from core.escaping import cell, cells, visible
from pages._ui.texts import translated


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
    """Show `st.dataframe` without its index.

    No cell and no header is a formula in a spreadsheet, and none hides characters: a cell shows what its CSV holds.
    Sentences of core are translated. *style* colours the frame as it is shown.
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    names = _headers(list(frame.columns))
    # Columns are taken by position, because two of them can have the same name here.
    shown = pd.DataFrame({names[place]: _column(frame.iloc[:, place]) for place in range(len(names))})
    header_of = dict(zip(frame.columns, names, strict=True))
    return (at or st).dataframe(
        shown if style is None else style(shown),
        hide_index=True,
        column_config={header_of.get(name, name): value for name, value in (column_config or {}).items()} or None,
        column_order=None if column_order is None else [header_of[name] for name in column_order],
        alt=visible(alt) or None,
        **options,
    )


def text(body: object, *, at: DeltaGenerator | None = None, **options: Any) -> None:
    """Show lines as they were written, in the font of the page. A sentence of core is translated."""
    (at or st).text(visible(translated(body) if isinstance(body, str) else body, keep="\n\t"), **options)


def code(body: object, *, at: DeltaGenerator | None = None) -> None:
    """Show lines as they were written, in a monospaced font."""
    (at or st).code(visible(body, keep="\n\t"), language=None)


def _headers(names: Sequence[Any]) -> list[str]:
    """Return the escaped names of the columns; equal names get a number."""
    headers: list[str] = []
    for name in names:
        shown, number = cell(str(name)), 2
        while shown in headers:
            shown, number = f"{cell(str(name))} ({number})", number + 1
        headers.append(shown)
    return headers


def _column(values: pd.Series) -> pd.Series:
    """Return the column with escaped texts; numbers, times and booleans stay."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if not (pd.api.types.is_object_dtype(values.dtype) or pd.api.types.is_string_dtype(values.dtype)):
        return values
    return pd.Series([_cells(value) for value in values], index=values.index, dtype=object)


def _cells(value: Any) -> Any:
    if isinstance(value, str):
        value = translated(value)
    # Arrow returns lists as arrays.
    return cells(value.tolist() if isinstance(value, np.ndarray) and value.ndim else value)
