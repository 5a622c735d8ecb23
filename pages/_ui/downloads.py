"""Downloads that are made when they are asked for: for who is still here, and what went wrong is told in words."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import CoreError
from pages._ui import messages, session

_TOLD = "downloads_told"


class DownloadRefused(Exception):
    """What Streamlit writes to the server's log in place of the error: one sentence without a secret."""


def made(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """*make* for `st.download_button`, which calls it without a run of the script, perhaps hours later.

    It is asked again who is here. Raises DownloadRefused in place of CoreError; the page tells it with its next run.
    """
    still_here = session.presence()
    told: list[str] = st.session_state.setdefault(_TOLD, [])

    def make_now() -> bytes:
        try:
            still_here()
            return make()
        except CoreError as error:
            told.append(messages.redacted(str(error)))
        raise DownloadRefused(told[-1])

    return make_now


def tell() -> None:
    """Shows, once, why a download was not made."""
    told: list[str] = st.session_state.setdefault(_TOLD, [])
    while told:
        st.error(f"The download was not made. {messages.plain(told.pop(0))}", icon=":material/error:")
