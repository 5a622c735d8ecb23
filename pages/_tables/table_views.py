"""Tables on a page: the list, the history, and the facts and the schema of one version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from core.entities import Commit, ModelVersionKey, Snapshot
from core.features.data.browse import TableSummary, VersionView
from pages._ui import escaping, messages
from pages._ui.texts import t, tn


def summary(tables: Sequence[TableSummary]) -> None:
    """Show the registered tables, one line each; a table that cannot be opened shows the reason."""
    version, count, time, problem = t("Latest version"), t("Rows"), t("Last commit"), t("Problem")
    rows = [
        {
            t("Table"): table.name,
            version: table.version,
            count: table.rows,
            time: table.timestamp,
            problem: table.problem or "",
            t("Location"): table.uri,
        }
        for table in tables
    ]
    frame = pd.DataFrame(rows).astype({version: "Int64", count: "Int64"})
    if not any(table.problem for table in tables):
        frame = frame.drop(columns=problem)
    columns = {time: messages.time_column(time), problem: st.column_config.TextColumn(width="large")}
    escaping.table(frame, placeholder="–", column_config=columns, key="tables_summary")


def history(
    commits: Sequence[Commit],
    snapshots: Sequence[Snapshot],
    trained: Mapping[int, Sequence[ModelVersionKey]],
    *,
    key: str,
    on_pick: Callable[[int], None],
) -> None:
    """Show the commits in the order given; *on_pick* gets the version of a row that is chosen.

    User and metadata are claims of the writer.
    """

    def pick_row() -> None:
        selected = st.session_state[key].selection.rows
        if selected:
            on_pick(commits[selected[0]].version)

    time, added, removed, count = t("Time"), t("Rows added"), t("Rows removed"), t("Rows")
    rows_at = {snapshot.version: snapshot.rows for snapshot in snapshots}
    frame = pd.DataFrame(
        [
            {
                t("Version"): commit.version,
                time: commit.timestamp,
                t("Operation"): commit.operation,
                t("User (claimed)"): commit.claimed_by or "",
                added: commit.rows_added,
                removed: commit.rows_removed,
                count: rows_at.get(commit.version),
                t("Models trained on it"): ", ".join(map(str, trained.get(commit.version, ()))),
                t("Source"): str(commit.metadata.get("modelledger.source", "")),
                t("Engine"): commit.engine or "",
            }
            for commit in commits
        ]
    ).astype(dict.fromkeys((added, removed, count), "Int64"))
    escaping.table(
        frame,
        placeholder="–",
        column_config={time: messages.time_column(time)},
        key=key,
        on_select=pick_row,
        selection_mode="single-row",
        height=min(36 * (len(commits) + 1) + 3, 460),
    )


def facts(view: VersionView) -> None:
    """Show verdict, rows, files, size and time of a version."""
    snapshot = view.snapshot
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(view.verdict.verdict)
        parts = [
            t("version **{version}**", version=snapshot.version),
            t("unknown number of rows") if view.rows is None else tn("{n} row", "{n:,} rows", view.rows),
            tn("{n} file", "{n} files", snapshot.files),
            t("unknown size") if snapshot.size_bytes is None else tn("{n} byte", "{n:,} bytes", snapshot.size_bytes),
            messages.local_time(snapshot.timestamp, seconds=True),
        ]
        st.caption(" · ".join(parts), width="content")
        if snapshot.features:
            st.caption(t("features: {names}", names=messages.plain(", ".join(snapshot.features))), width="content")


def schema(view: VersionView) -> None:
    """Show the columns of a version with their types."""
    escaping.table(
        pd.DataFrame(
            [
                {t("Column"): field.name, t("Type"): field.type, t("Nullable"): field.nullable}
                for field in view.snapshot.schema
            ]
        ),
        key="tables_schema",
    )
