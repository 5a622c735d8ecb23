"""Downloads whose file is made when a person presses the button, and the errors of downloads that failed."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.errors import CoreError
from pages._ui import messages, session
from pages._ui.texts import t, translated

_FAILURES = "downloads_failures"


class DownloadRefused(Exception):
    """Replaces the error of a failed download in Streamlit's log; its sentence holds no secret."""


def on_demand(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Return *make* for `st.download_button`, which calls it without a run of the script, perhaps hours later.

    The sign-in is checked again before each call. A CoreError is kept for `show_failures` in the page's next run, and
    DownloadRefused is raised in its place. Streamlit calls *make* in a thread without the session.
    """
    require_signed_in = session.sign_in_check()
    failures: list[CoreError] = st.session_state.setdefault(_FAILURES, [])

    def make_now() -> bytes:
        try:
            require_signed_in()
            return make()
        except CoreError as error:
            failures.append(error)
        raise DownloadRefused(messages.redacted(str(failures[-1])))

    return make_now


def show_failures() -> None:
    """Show, once, why a download failed."""
    failures: list[CoreError] = st.session_state.setdefault(_FAILURES, [])
    while failures:
        reason = messages.plain(messages.redacted(translated(failures.pop(0))))
        st.error(t("The download failed. {reason}", reason=reason), icon=":material/error:")
