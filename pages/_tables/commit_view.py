"""One commit on a page: what it did and what its writer recorded about it. All of it is the writer's claim."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.entities import Commit
from pages._ui import escaping, messages
from pages._ui.texts import t

# A longer value gets lines of its own.
_SHORT = 60
_LONGEST = 2_000


def details(commit: Commit) -> None:
    """Show the details of a commit."""
    st.subheader(
        t("Version {version}: {operation}", version=commit.version, operation=messages.plain(commit.operation))
    )
    st.caption(t("As the writer recorded it; nothing checks these claims."))
    left, right = st.columns(2)
    claims = commit.details
    with left:
        _facts(
            {
                t("Time"): messages.local_time(commit.timestamp, seconds=True),
                t("User"): commit.claimed_by,
                t("User id"): claims.user_id,
                t("Engine"): commit.engine,
                t("Based on version"): None if claims.read_version is None else str(claims.read_version),
                t("Isolation level"): claims.isolation_level,
                t("Blind append"): _yes_or_no(claims.is_blind_append),
                t("Cluster"): claims.cluster_id,
                **{t("Job: {name}", name=name): value for name, value in claims.job.items()},
                **{t("Notebook: {name}", name=name): value for name, value in claims.notebook.items()},
            },
            key="tables_commit_facts",
        )
    with right:
        counts = {
            t("Rows added"): _number(commit.rows_added),
            t("Rows removed"): _number(commit.rows_removed),
            t("Files added"): str(commit.files_added),
            t("Files removed"): str(commit.files_removed),
        }
        _facts({**counts, **claims.metrics}, key="tables_commit_metrics")
    _values(t("Parameters"), claims.parameters)
    _values(t("Metadata"), {name: str(value) for name, value in commit.metadata.items()})


def _values(title: str, values: Mapping[str, str]) -> None:
    """Show names and values: short ones in a table, long ones as written."""
    if not values:
        return
    st.markdown(f"**{title}**")
    short = {name: value for name, value in values.items() if len(value) <= _SHORT and "\n" not in value}
    if short:
        _facts(short, key=f"tables_commit_{title}")
    for name, value in values.items():
        if name not in short:
            escaping.text(name)
            escaping.code(value if len(value) <= _LONGEST else value[: _LONGEST - 1] + "…")


def _facts(facts: Mapping[str, str | None], *, key: str) -> None:
    rows = [{t("Name"): name, t("Value"): value} for name, value in facts.items() if value is not None]
    escaping.table(pd.DataFrame(rows), key=key, height=36 * (min(len(rows), 30) + 1) + 3)


def _number(count: int | None) -> str | None:
    return None if count is None else f"{count:,}"


def _yes_or_no(value: bool | None) -> str | None:
    return None if value is None else t("yes") if value else t("no")
