"""Pages of a long table: which one is asked for in the address, and the box that turns them."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator


def last_page(rows: int | None, size: int) -> int | None:
    """The last page of *rows* rows, *size* a page: 1 where there are none, None where nobody knows how many."""
    return None if rows is None else max(1, -(-rows // size))


def asked(key: str, *, of: str) -> int:
    """The page, from 1 on, as the address or the box says; whatever else stands there is page 1.

    *of* names what is paged: when that changes, its first page is shown, unless the address asks for another.
    """
    box, address = f"{key}.box", st.query_params.get(key)
    if address != st.session_state.get(f"{key}.seen"):
        return _number(address)
    if st.session_state.get(f"{key}.of", of) != of:
        return 1
    return int(st.session_state.get(box) or _number(address))


def turn(key: str, number: int, *, last: int | None, of: str, at: DeltaGenerator | None = None) -> None:
    """The box, showing page *number*, which is written into the address; page 1 is what an address without it means."""
    box = f"{key}.box"
    st.session_state[box] = number
    label = f"Page of {'?' if last is None else last}"
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
