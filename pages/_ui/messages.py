"""Messages: what is told to a person, inert whatever the data says; verdicts and times in one form everywhere."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.entities import (
    JobStatus,
    Outcome,
    Readability,
    Reproduced,
    RequestStatus,
    Role,
    RunStatus,
    Severity,
    Stage,
    TokenState,
)
from core.errors import CoreError, Forbidden, Refused, Unavailable
from core.escaping import visible
from core.settings import secret_free

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

# Each has its colour, its word (the value) and its mark: nobody needs to see colours.
# Pairs, no dict: two str enums with one value (a job's and a run's "failed") are one key.
_MARKS: tuple[tuple[Enum, tuple[Colour, str]], ...] = (
    (Stage.NONE, ("gray", ":material/circle:")),
    (Stage.STAGING, ("orange", ":material/science:")),
    (Stage.PRODUCTION, ("green", ":material/verified:")),
    (Stage.ARCHIVED, ("gray", ":material/archive:")),
    (Readability.READABLE, ("green", ":material/check_circle:")),
    (Readability.FILES_VACUUMED, ("red", ":material/delete_forever:")),
    (Readability.LOG_EXPIRED, ("red", ":material/event_busy:")),
    (Readability.REFUSED, ("orange", ":material/block:")),
    (Readability.UNKNOWN, ("gray", ":material/help:")),
    (Reproduced.REPRODUCED, ("green", ":material/verified:")),
    (Reproduced.WITHIN_TOLERANCE, ("green", ":material/check:")),
    (Reproduced.DIVERGED, ("red", ":material/call_split:")),
    (Reproduced.IMPOSSIBLE, ("orange", ":material/block:")),
    (RequestStatus.OPEN, ("blue", ":material/hourglass_empty:")),
    (RequestStatus.APPROVED, ("green", ":material/check:")),
    (RequestStatus.REJECTED, ("red", ":material/close:")),
    (RequestStatus.EXPIRED, ("gray", ":material/schedule:")),
    (RequestStatus.UNFINISHED, ("orange", ":material/warning:")),
    (RunStatus.SCHEDULED, ("gray", ":material/schedule:")),
    (RunStatus.RUNNING, ("blue", ":material/progress_activity:")),
    (RunStatus.FINISHED, ("green", ":material/check:")),
    (RunStatus.FAILED, ("red", ":material/error:")),
    (RunStatus.KILLED, ("orange", ":material/cancel:")),
    (JobStatus.SCHEDULED, ("gray", ":material/schedule:")),
    (JobStatus.RUNNING, ("blue", ":material/progress_activity:")),
    (JobStatus.FINISHED, ("green", ":material/check:")),
    (JobStatus.FAILED, ("red", ":material/error:")),
    (JobStatus.KILLED, ("orange", ":material/cancel:")),
    (Outcome.INTENT, ("gray", ":material/pending:")),
    (Outcome.SUCCESS, ("green", ":material/check:")),
    (Outcome.DENIED, ("red", ":material/block:")),
    (Outcome.FAILED, ("orange", ":material/error:")),
    (Severity.HIGH, ("red", ":material/priority_high:")),
    (Severity.MEDIUM, ("orange", ":material/warning:")),
    (Severity.LOW, ("gray", ":material/low_priority:")),
    (Role.AUDITOR, ("violet", ":material/policy:")),
    (Role.SCIENTIST, ("blue", ":material/science:")),
    (Role.MANAGER, ("green", ":material/gavel:")),
    (Role.ADMIN, ("orange", ":material/settings:")),
    (TokenState.VALID, ("green", ":material/key:")),
    (TokenState.EXPIRED, ("gray", ":material/schedule:")),
    (TokenState.REVOKED, ("red", ":material/block:")),
)
_SIGNS: dict[Colour, str] = {
    "green": "●",
    "red": "✕",
    "orange": "▲",
    "blue": "◐",
    "gray": "○",
    "violet": "◆",
    "yellow": "▲",
}
# The ink of each mark in a table: at least 4:1 on white and on Streamlit's dark grey.
_INKS = {"●": "#1A8754", "✕": "#E03131", "▲": "#B8620A", "◐": "#1C7ED6", "○": "#757C85", "◆": "#8A5CE0"}
_MARKED = re.compile(rf"(?:^|\s)([{''.join(_INKS)}])\s")
_KEYS = {(type(key).__name__, key.value): mark for key, mark in _MARKS}

_SAID = "messages_said"

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&^=])")
# Streamlit's Markdown makes links of bare addresses, pictures of :words: and arrows of -> after escapes are gone.
_RECOGNISED = re.compile(
    r"(://|www(?=\.)|@(?=[\w-]+\.)|:(?=[^\W\d]|[+-])|(?<!\d):(?=\d)|(?<!\S)[<>~-](?=(?:->|[>=-])(?!\S)))", re.IGNORECASE
)
# Breaks what would be recognised; nobody sees it.
_WORD_JOINER = "\u2060"


def badge(value: Enum, label: str | None = None) -> None:
    """A stage, verdict, status, outcome, severity or role: colour, mark and word. *label*: other words, Markdown."""
    colour, icon = _KEYS[type(value).__name__, value.value]
    st.badge(label or str(value.value), icon=icon, color=colour)


def word(value: Enum) -> str:
    """The same for a table cell: a mark that needs no colour, and the word."""
    colour, _ = _KEYS[type(value).__name__, value.value]
    return f"{_SIGNS[colour]} {value.value}"


def roles(names: str) -> str:
    """Roles as an event keeps them, each with its mark; what is no role here stays as it is."""
    known = {role.value: word(role) for role in Role}
    return ", ".join(known.get(name, name) for name in names.split(","))


def coloured(rows: pd.DataFrame) -> Styler:
    """The same rows: what has a mark of `word` has its colour too, readable on light and on dark. For inert.table."""
    texts: list[Hashable] = [name for name in rows.columns if pd.api.types.is_object_dtype(rows[name])]
    return rows.style.map(_ink, subset=texts).format(na_rep="–")


def _ink(text: object) -> str:
    found = _MARKED.search(text) if isinstance(text, str) else None
    return f"color: {_INKS[found[1]]}; font-weight: 600" if found else ""


def plain(text: object) -> str:
    """*text* for a place that reads Markdown: shown as written, never as a link, picture or formula."""
    shown = _RECOGNISED.sub(rf"\1{_WORD_JOINER}", visible(" ".join(str(text).split())))
    return _PUNCTUATION.sub(r"\\\1", shown)


def say(text: str) -> None:
    """Keeps a sentence for the next run: a page starts again after a change."""
    st.session_state[_SAID] = text


def said() -> None:
    """Shows what was kept, once."""
    text = st.session_state.pop(_SAID, None)
    if text:
        st.success(plain(text), icon=":material/check:")


def show_error(error: CoreError) -> None:
    """One sentence that says what is and what to do, without a secret in it."""
    told = plain(redacted(str(error)))
    if isinstance(error, Unavailable):
        st.warning(told, icon=":material/cloud_off:")
    elif isinstance(error, Forbidden):
        st.error(told, icon=":material/lock:")
    elif isinstance(error, Refused):
        st.error(told, icon=":material/block:")
    else:
        st.error(told, icon=":material/error:")


def redacted(text: str) -> str:
    """*text* without what the settings call secret."""
    return secret_free()(text)


@contextmanager
def telling() -> Iterator[None]:
    """Shows a CoreError of the body and goes on behind it."""
    try:
        yield
    except CoreError as error:
        show_error(error)


@contextmanager
def stopping() -> Iterator[None]:
    """Shows a CoreError of the body and ends the page there."""
    try:
        yield
    except CoreError as error:
        show_error(error)
        st.stop()


def viewer_zone() -> str:
    """The viewer's time zone by its IANA name; UTC where the browser does not say."""
    name = st.context.timezone or "UTC"
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
    return name


def local(moment: datetime | None, *, seconds: bool = False) -> str:
    """A time in the viewer's zone, with UTC beside it."""
    if moment is None:
        return "–"
    form = "%H:%M:%S" if seconds else "%H:%M"
    here, utc = moment.astimezone(ZoneInfo(viewer_zone())), moment.astimezone(UTC)
    shown = f"{here:%Y-%m-%d} {here.strftime(form)} {here:%Z}"
    if here.utcoffset() == utc.utcoffset():
        return shown
    other_day = f"{utc:%m-%d} " if utc.date() != here.date() else ""
    return f"{shown} ({other_day}{utc.strftime(form)} UTC)"


def stamp(moment: datetime) -> str:
    """A time at the beginning of a line: in the viewer's zone, with how far it is from UTC."""
    return moment.astimezone(ZoneInfo(viewer_zone())).isoformat(sep=" ", timespec="seconds")


def time_column(label: str) -> object:
    """Column configuration of a time: in the viewer's zone, named in the header, with how far it is from UTC."""
    zone = viewer_zone()
    if zone == "UTC":
        return st.column_config.DatetimeColumn(f"{label} (UTC)", format="YYYY-MM-DD HH:mm:ss", timezone=zone)
    return st.column_config.DatetimeColumn(
        f"{label} ({zone})",
        format="YYYY-MM-DD HH:mm:ss Z",
        timezone=zone,
        help="A downloaded cell holds the same moment in UTC.",
    )
