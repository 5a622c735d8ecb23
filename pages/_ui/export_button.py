"""Taking away: a button that hands over all rows as CSV, made when it is pressed."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.escaping import visible
from core.features.data.export_rows import MOST_ROWS
from pages._ui import downloads


def csv_button(make: Callable[[], bytes], name: str, rows: int | None, *, key: str) -> None:
    """All rows of what is shown, not only those of the page; the label says so where they are too many."""
    is_whole = rows is not None and rows <= MOST_ROWS
    downloads.tell()
    st.download_button(
        "All rows as CSV" if is_whole else f"First {MOST_ROWS:,} rows as CSV",
        downloads.made(make),
        f"{visible(name)}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
        help="Times are in UTC. No cell is a formula to a spreadsheet."
        + ("" if is_whole else f" More than {MOST_ROWS:,} rows are read from the table itself, or by SQL."),
    )
