"""The export button: downloads all rows as CSV; the file is made when a person presses the button."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.escaping import visible
from core.features.data.export_rows import MOST_ROWS
from pages._ui import downloads
from pages._ui.texts import t


def csv_button(make: Callable[[], bytes], name: str, rows: int | None, *, key: str) -> None:
    """Draw the button for all *rows*, not only those of the page; the label says where there are too many."""
    is_whole = rows is not None and rows <= MOST_ROWS
    downloads.show_failures()
    st.download_button(
        t("All rows as CSV") if is_whole else t("First {most:,} rows as CSV", most=MOST_ROWS),
        downloads.on_demand(make),
        f"{visible(name)}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=key,
        help=t("Times are in UTC. No cell is a formula in a spreadsheet.")
        if is_whole
        else t(
            "Times are in UTC. No cell is a formula in a spreadsheet. To get more than {most:,} rows, read the table "
            "itself or use SQL.",
            most=MOST_ROWS,
        ),
    )
