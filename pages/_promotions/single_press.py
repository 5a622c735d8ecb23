"""A form that takes one press: while its answer is pending, nobody can press it again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import streamlit as st

from core.errors import CoreError
from pages._ui import messages

_Seen = TypeVar("_Seen")


class SinglePressForm:
    """A form with buttons that each lead to one service call.

    After a press, a line that says what is being done replaces the form until the service has answered. A second click
    that the browser sent before it drew that line belongs to a button that no longer exists, so Streamlit ignores it.
    The page then runs again: it shows the sentence of `notify` at its top, or the error of the service below the form.
    Fields keep their values after an error and are empty after a success.

        form = SinglePressForm("promotions_back_form")
        with form:
            reason = promotion_forms.reason_field()
            is_pressed = form.button(t("Roll back"), type="primary", icon=":material/undo:")
        if is_pressed:
            with form.answer(t("Checking that the model loads")):
                rollback = roll_back(stores, actor, model, reason=reason, seen_decisions=form.seen(count))
                form.notify(t("{version} is in Production.", version=rollback.key))

    The page must call `messages.show_notification`. Draw nothing inside `answer`: Streamlit can end a run at each
    element, and the sentence would be lost.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        # A plain dict: unlike st.session_state, a change of it never ends the run of the script.
        self._state: dict[str, Any] = st.session_state.setdefault(
            f"{key}.press", {"presses": 0, "answers": 0, "buttons": set()}
        )
        # st.empty() would take the form off the page for a moment at each rerun, and the cursor of who is typing.
        self._place = st.empty() if self._was_pressed() else st.container()
        self._is_pressed = False
        self._notices = messages.notices()
        self._now: Any = None

    def __enter__(self) -> SinglePressForm:
        answers = self._state["answers"]
        self._form = self._place.container().form(f"{self._key}.{answers}" if answers else self._key)
        self._form.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._form.__exit__(kind, error, trace)
        if kind is not None or self._is_pressed:
            return
        self.show_error()
        if self._now is not None:
            self._state["seen"] = self._now

    def button(self, label: str, **options: Any) -> bool:
        """Draw a button that sends the form, and return whether it was pressed."""
        key = f"{self._key}.{label}.{self._state['presses']}"
        self._state["buttons"].add(key)
        is_pressed = st.form_submit_button(label, key=key, **options)
        self._is_pressed = self._is_pressed or is_pressed
        return is_pressed

    def seen(self, now: _Seen) -> _Seen:
        """Return the value of *now* when the form was last drawn for a reader. Call it before the form ends."""
        self._now = now
        seen: _Seen = self._state.get("seen", now)
        return seen

    def _was_pressed(self) -> bool:
        """Return whether this run of the page is that of a press."""
        return any(st.session_state.get(key) for key in self._state["buttons"])

    @contextmanager
    def answer(self, doing: str) -> Iterator[None]:
        """Replace the form with the line *doing*, take the block's answer, and run the page again."""
        with self._place.container(border=True):
            st.markdown(f":material/hourglass_top: {messages.plain(doing)}…")
        self._state["presses"] += 1
        self._state["buttons"].clear()
        try:
            yield
            self._state["answers"] += 1
        except CoreError as error:
            self._state["error"] = error
        st.rerun()

    def notify(self, sentence: str) -> None:
        """Show *sentence* at the top of the page after the answer."""
        self._notices.append(sentence)

    def show_error(self) -> None:
        """Show the error of the last press, once. For a page that no longer draws the form."""
        error = self._state.get("error")
        if error is not None:
            messages.show_error(error)
            del self._state["error"]
