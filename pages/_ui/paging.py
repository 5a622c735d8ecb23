"""Pages of a long table: the page number in the address, and the box that changes it."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._ui.texts import t


def last_page(rows: int | None, size: int) -> int | None:
    """Return the number of the last page: 1 where there are no rows, None where the number of rows is unknown."""
    return None if rows is None else max(1, -(-rows // size))


def requested_page(key: str, *, of: str) -> int:
    """Return the page that the address or the box names, from 1; any other value is page 1.

    *of* names what is paged. When it changes, its first page is shown, unless the address names another page.
    """
    box, address = f"{key}.box", st.query_params.get(key)
    if address != st.session_state.get(f"{key}.seen"):
        return _number(address)
    if st.session_state.get(f"{key}.of", of) != of:
        return 1
    return int(st.session_state.get(box) or _number(address))


def page_box(key: str, number: int, *, last: int | None, of: str, at: DeltaGenerator | None = None) -> None:
    """Draw the box for page *number* of *last* and write the number into the address. Page 1 is not written."""
    box = f"{key}.box"
    st.session_state[box] = number
    label = t("Page") if last is None else t("Page (of {last})", last=last)
    (at or st).number_input(label, min_value=1, max_value=last, step=1, key=box, width=160)
    kept = None if number == 1 else str(number)
    if kept is None:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != kept:
        st.query_params[key] = kept
    st.session_state[f"{key}.seen"], st.session_state[f"{key}.of"] = kept, of


def _number(text: str | None) -> int:
    try:
        return max(int(text or 1), 1)
    except ValueError:
        return 1
