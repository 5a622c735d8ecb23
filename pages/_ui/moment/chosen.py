"""The chosen moment: its text in the address and in the session. Without a text, the pages show the present state."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.features.history.moment import Moment

_PARAMETER = "as_of"
_TEXT, _PAGE, _FOUND = "moment.text", "moment.page", "moment.found"


def follow_address() -> None:
    """Take the moment from the address, or put it there after a navigation, which leaves it out.

    An address of the same page without a moment was typed or is an earlier one: the present state is shown again.
    """
    context = get_script_run_ctx(suppress_warning=True)
    page = context.page_script_hash if context else ""
    linked = st.query_params.get(_PARAMETER, "")
    if linked:
        st.session_state[_TEXT] = linked
    elif page == st.session_state.get(_PAGE):
        st.session_state[_TEXT] = ""
    elif name():
        st.query_params[_PARAMETER] = name()
    st.session_state[_PAGE] = page


def name() -> str:
    """Return the text that names the moment; "" for now."""
    return str(st.session_state.get(_TEXT, ""))


def choose(named: str) -> None:
    """Show the moment that *named* names from the next run on; "" for now."""
    st.session_state[_TEXT] = named
    if named:
        st.query_params[_PARAMETER] = named
    else:
        st.query_params.pop(_PARAMETER, None)


def address() -> dict[str, str]:
    """Return the parameters with which a link leads to the same moment."""
    return {_PARAMETER: name()} if name() else {}


def keep(found: Moment | None) -> None:
    """Keep the moment of this run for `moment`."""
    st.session_state[_FOUND] = found


def moment() -> Moment | None:
    """Return the moment that the page shows; None for now."""
    found: Moment | None = st.session_state.get(_FOUND)
    return found
