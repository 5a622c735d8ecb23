"""Messages: errors and notifications without active content from data; one form for labels of states and for times."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.access.permissions import Action, roles_for
from core.entities import (
    Agreement,
    IdentityVerdict,
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
from core.texts import text
from pages._ui.texts import t, translated

Colour = Literal["red", "orange", "yellow", "blue", "green", "violet", "gray"]

# Each value has a colour, an icon and a word, so that nobody needs to see colours.
# Pairs instead of a dict: two str enums with the same value (a job's and a run's "failed") are the same key.
_LABELS: tuple[tuple[Enum, tuple[Colour, str, str]], ...] = (
    (Stage.NONE, ("gray", ":material/circle:", text("None"))),
    (Stage.STAGING, ("orange", ":material/science:", text("Staging"))),
    (Stage.PRODUCTION, ("green", ":material/verified:", text("Production"))),
    (Stage.ARCHIVED, ("gray", ":material/archive:", text("Archived"))),
    (Readability.READABLE, ("green", ":material/check_circle:", text("readable"))),
    (Readability.FILES_VACUUMED, ("red", ":material/delete_forever:", text("files vacuumed"))),
    (Readability.FILES_CHANGED, ("red", ":material/broken_image:", text("files changed"))),
    (Readability.LOG_EXPIRED, ("red", ":material/event_busy:", text("log expired"))),
    (Readability.REFUSED, ("orange", ":material/block:", text("engine refuses"))),
    (Readability.UNKNOWN, ("gray", ":material/help:", text("unknown"))),
    (IdentityVerdict.TRAINING_DATA, ("green", ":material/fingerprint:", text("training data"))),
    (IdentityVerdict.SAME_ROWS, ("green", ":material/content_copy:", text("same rows, another table"))),
    (IdentityVerdict.UNPROVEN, ("gray", ":material/help:", text("not proven"))),
    (IdentityVerdict.UNCLEAR, ("orange", ":material/warning:", text("unclear"))),
    (IdentityVerdict.ANOTHER_TABLE, ("red", ":material/swap_horiz:", text("another table"))),
    (IdentityVerdict.OTHER_ROWS, ("red", ":material/difference:", text("other rows"))),
    (Agreement.AGREES, ("green", ":material/check:", text("agrees"))),
    (Agreement.CONTRADICTS, ("red", ":material/close:", text("contradicts"))),
    (Agreement.UNCLEAR, ("orange", ":material/warning:", text("unclear"))),
    (Agreement.UNKNOWN, ("gray", ":material/help:", text("not compared"))),
    (Reproduced.REPRODUCED, ("green", ":material/verified:", text("reproduced"))),
    (Reproduced.WITHIN_TOLERANCE, ("green", ":material/check:", text("within tolerance"))),
    (Reproduced.DIVERGED, ("red", ":material/call_split:", text("diverged"))),
    (Reproduced.IMPOSSIBLE, ("orange", ":material/block:", text("impossible"))),
    (RequestStatus.OPEN, ("blue", ":material/hourglass_empty:", text("open"))),
    (RequestStatus.APPROVED, ("green", ":material/check:", text("approved"))),
    (RequestStatus.REJECTED, ("red", ":material/close:", text("rejected"))),
    (RequestStatus.EXPIRED, ("gray", ":material/schedule:", text("expired"))),
    (RequestStatus.UNFINISHED, ("orange", ":material/warning:", text("unfinished"))),
    (RunStatus.SCHEDULED, ("gray", ":material/schedule:", text("scheduled"))),
    (RunStatus.RUNNING, ("blue", ":material/progress_activity:", text("running"))),
    (RunStatus.FINISHED, ("green", ":material/check:", text("finished"))),
    (RunStatus.FAILED, ("red", ":material/error:", text("failed"))),
    (RunStatus.KILLED, ("orange", ":material/cancel:", text("killed"))),
    (JobStatus.SCHEDULED, ("gray", ":material/schedule:", text("scheduled"))),
    (JobStatus.RUNNING, ("blue", ":material/progress_activity:", text("running"))),
    (JobStatus.FINISHED, ("green", ":material/check:", text("finished"))),
    (JobStatus.FAILED, ("red", ":material/error:", text("failed"))),
    (JobStatus.KILLED, ("orange", ":material/cancel:", text("killed"))),
    (Outcome.INTENT, ("gray", ":material/pending:", text("intent"))),
    (Outcome.SUCCESS, ("green", ":material/check:", text("success"))),
    (Outcome.DENIED, ("red", ":material/block:", text("denied"))),
    (Outcome.FAILED, ("orange", ":material/error:", text("failed"))),
    (Severity.HIGH, ("red", ":material/priority_high:", text("high"))),
    (Severity.MEDIUM, ("orange", ":material/warning:", text("medium"))),
    (Severity.LOW, ("gray", ":material/low_priority:", text("low"))),
    (Role.AUDITOR, ("violet", ":material/policy:", text("auditor"))),
    (Role.SCIENTIST, ("blue", ":material/science:", text("scientist"))),
    (Role.MANAGER, ("green", ":material/gavel:", text("manager"))),
    (Role.ADMIN, ("orange", ":material/settings:", text("admin"))),
    (TokenState.VALID, ("green", ":material/key:", text("valid"))),
    (TokenState.EXPIRED, ("gray", ":material/schedule:", text("expired"))),
    (TokenState.REVOKED, ("red", ":material/block:", text("revoked"))),
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
# The colour of each sign in a table: a contrast of at least 4:1 on white and on Streamlit's dark grey.
_INKS = {"●": "#1A8754", "✕": "#E03131", "▲": "#B8620A", "◐": "#1C7ED6", "○": "#757C85", "◆": "#8A5CE0"}
_MARKED = re.compile(rf"(?:^|\s)([{''.join(_INKS)}])\s")
_BY_KEY = {(type(value).__name__, value.value): label for value, label in _LABELS}

_NOTIFICATION = "messages_notification"

_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()#+\-.!|~<>$:&^=])")
# After the escapes, Streamlit's Markdown still makes links of bare addresses, pictures of :words: and arrows of ->.
_RECOGNISED = re.compile(
    r"(://|www(?=\.)|@(?=[\w-]+\.)|:(?=[^\W\d]|[+-])|(?<!\d):(?=\d)|(?<!\S)[<>~-](?=(?:->|[>=-])(?!\S)))", re.IGNORECASE
)
# Invisible; it breaks what Streamlit would recognise.
_WORD_JOINER = "\u2060"


def badge(value: Enum, label: str | None = None) -> None:
    """Show a stage, verdict, status, outcome, severity or role as a badge. *label* replaces its word; Markdown."""
    colour, icon, word = _BY_KEY[type(value).__name__, value.value]
    st.badge(label or translated(word), icon=icon, color=colour)


def alias_badges(aliases: Iterable[str]) -> None:
    """Show each alias of a version as a badge."""
    for alias in aliases:
        st.badge(plain(f"@{alias}"), icon=":material/sell:", color="gray")


def word(value: Enum) -> str:
    """Return the word for a stage, verdict, status, outcome, severity or role in the language of the session."""
    return translated(_BY_KEY[type(value).__name__, value.value][2])


def role_names(action: Action) -> str:
    """Return the words for the roles that may do *action*, separated by commas."""
    return ", ".join(word(role) for role in roles_for(action))


def label(value: Enum) -> str:
    """Return the text of the same badge for a table cell: a sign that needs no colour, and the word."""
    return f"{_SIGNS[_BY_KEY[type(value).__name__, value.value][0]]} {word(value)}"


def role_labels(names: str) -> str:
    """Return the labels of the roles in an event's comma-separated *names*. An unknown role stays as it is."""
    labels = {role.value: label(role) for role in Role}
    return ", ".join(labels.get(name, name) for name in names.split(","))


def coloured(rows: pd.DataFrame) -> Styler:
    """Colour every cell that holds a `label`. For escaping.table."""
    columns: list[Hashable] = [name for name in rows.columns if pd.api.types.is_object_dtype(rows[name])]
    return rows.style.map(_ink, subset=columns).format(na_rep="–")


def _ink(cell: object) -> str:
    match = _MARKED.search(cell) if isinstance(cell, str) else None
    return f"color: {_INKS[match[1]]}; font-weight: 600" if match else ""


def plain(value: object) -> str:
    """Return *value* for a place that reads Markdown: shown as written, never as a link, picture or formula.

    A sentence of core is translated.
    """
    sentence = translated(value) if isinstance(value, str) else str(value)
    shown = _RECOGNISED.sub(rf"\1{_WORD_JOINER}", visible(" ".join(sentence.split())))
    return _PUNCTUATION.sub(r"\\\1", shown)


def notify(sentence: str) -> None:
    """Keep *sentence* for the next run, because the page reruns after a change."""
    notices().append(sentence)


def notices() -> list[str]:
    """Return the session's list of sentences for the next run."""
    kept: list[str] = st.session_state.setdefault(_NOTIFICATION, [])
    return kept


def show_notification() -> None:
    """Show the sentences that `notify` kept, once.

    The container keeps the place of what follows: a form that moves up loses the cursor of who is typing in it.
    """
    kept = notices()
    with st.container():
        for sentence in kept:
            st.success(plain(sentence), icon=":material/check:")
    kept.clear()


def show_error(error: CoreError) -> None:
    """Show what happened and what to do, without secrets."""
    sentence = plain(redacted(translated(error)))
    if isinstance(error, Unavailable):
        st.warning(sentence, icon=":material/cloud_off:")
    elif isinstance(error, Forbidden):
        st.error(sentence, icon=":material/lock:")
    elif isinstance(error, Refused):
        st.error(sentence, icon=":material/block:")
    else:
        st.error(sentence, icon=":material/error:")


def redacted(sentence: str) -> str:
    """Return *sentence* without the secrets in the settings."""
    return secret_free()(sentence)


@contextmanager
def show_errors() -> Iterator[None]:
    """Show a CoreError of the block, and continue after the block."""
    try:
        yield
    except CoreError as error:
        show_error(error)


@contextmanager
def stop_on_error() -> Iterator[None]:
    """Show a CoreError of the block, and end the page there."""
    try:
        yield
    except CoreError as error:
        show_error(error)
        st.stop()


def viewer_zone() -> str:
    """Return the IANA name of the viewer's time zone, or UTC where the browser does not report a valid one."""
    name = st.context.timezone or "UTC"
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return "UTC"
    return name


def local_time(moment: datetime | None, *, seconds: bool = False) -> str:
    """Return a time in the viewer's zone, followed by the time in UTC where it differs."""
    if moment is None:
        return "–"
    form = "%H:%M:%S" if seconds else "%H:%M"
    here, utc = moment.astimezone(ZoneInfo(viewer_zone())), moment.astimezone(UTC)
    shown = f"{here:%Y-%m-%d} {here.strftime(form)} {here:%Z}"
    if here.utcoffset() == utc.utcoffset():
        return shown
    other_day = f"{utc:%m-%d} " if utc.date() != here.date() else ""
    return f"{shown} ({other_day}{utc.strftime(form)} UTC)"


def timestamp(moment: datetime) -> str:
    """Return the time of a log line: ISO 8601 in the viewer's zone, with the offset from UTC."""
    return moment.astimezone(ZoneInfo(viewer_zone())).isoformat(sep=" ", timespec="seconds")


def time_column(label: str) -> object:
    """Return the configuration of a column of times: the header names the viewer's zone, each cell the offset."""
    zone = viewer_zone()
    if zone == "UTC":
        return st.column_config.DatetimeColumn(f"{label} (UTC)", format="YYYY-MM-DD HH:mm:ss", timezone=zone)
    return st.column_config.DatetimeColumn(
        f"{label} ({zone})",
        format="YYYY-MM-DD HH:mm:ss Z",
        timezone=zone,
        help=t("A downloaded cell holds the same time in UTC."),
    )
