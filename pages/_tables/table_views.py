"""What is shown of tables: the list, the history, one version's facts and schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from core.entities import Commit, ModelVersionKey, Snapshot
from core.features.data.browse import TableSummary, VersionView
from pages._ui import escaping, messages


def summary(found: Sequence[TableSummary]) -> None:
    """The registered tables, one line each; a table that cannot be opened says why."""
    rows = [
        {
            "Table": one.name,
            "Version": one.version,
            "Rows": one.rows,
            "Last commit": one.timestamp,
            "Where": one.uri,
            "Problem": one.problem or "",
        }
        for one in found
    ]
    frame = pd.DataFrame(rows).astype({"Version": "Int64", "Rows": "Int64"})
    if not any(one.problem for one in found):
        frame = frame.drop(columns="Problem")
    escaping.table(frame, column_config={"Last commit": messages.time_column("Last commit")}, key="tables_summary")


def history(
    commits: Sequence[Commit], snapshots: Sequence[Snapshot], trained: Mapping[int, Sequence[ModelVersionKey]]
) -> None:
    """Commits newest first. User and metadata are what the writer claimed."""
    rows_at = {snapshot.version: snapshot.rows for snapshot in snapshots}
    frame = pd.DataFrame(
        [
            {
                "Version": commit.version,
                "When": commit.timestamp,
                "Operation": commit.operation,
                "Who (claimed)": commit.claimed_by or "",
                "Rows added": commit.rows_added,
                "Rows removed": commit.rows_removed,
                "Rows": rows_at.get(commit.version),
                "Trained on it": ", ".join(map(str, trained.get(commit.version, ()))),
                "Source": str(commit.metadata.get("modelledger.source", "")),
                "Engine": commit.engine or "",
            }
            for commit in commits
        ]
    ).astype({"Rows added": "Int64", "Rows removed": "Int64", "Rows": "Int64"})
    escaping.table(frame, placeholder="–", column_config={"When": messages.time_column("When")}, key="tables_history")


def facts(view: VersionView) -> None:
    """Verdict, rows, files, size and time of a version."""
    snapshot = view.snapshot
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(view.verdict.verdict)
        rows = "unknown" if snapshot.rows is None else f"{snapshot.rows:,}"
        when = messages.local(snapshot.timestamp, seconds=True)
        size = "size unknown" if snapshot.size_bytes is None else f"{snapshot.size_bytes:,} bytes"
        st.caption(
            f"version **{snapshot.version}** · {rows} rows · {snapshot.files} files · {size} · {when}",
            width="content",
        )
        if snapshot.features:
            st.caption(f"features: {messages.plain(', '.join(snapshot.features))}", width="content")


def schema(view: VersionView) -> None:
    escaping.table(
        pd.DataFrame(
            [
                {"Column": field.name, "Type": field.type, "May be null": field.nullable}
                for field in view.snapshot.schema
            ]
        ),
        key="tables_schema",
    )
