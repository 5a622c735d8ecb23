"""The comparison of two versions of a table, on a page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, Commit
from core.features.data.browse import compare_versions, show_version
from core.features.stores import Stores
from pages._ui import escaping, pickers
from pages._ui.texts import t


def draw(stores: Stores, actor: Actor, table: str, commits: Sequence[Commit]) -> None:
    """Draw the pickers of both versions and a key, then the differences."""
    if len(commits) < 2:
        st.info(t("This table has only one version. Ingest more rows to compare versions."))
        return
    left, right, third = st.columns(3)
    before = pickers.data_version(commits, "tables_before", label=t("From"), at=left, index=1)
    after = pickers.data_version(commits, "tables_after", label=t("To"), at=right)
    assert before is not None
    assert after is not None
    columns = [field.name for field in show_version(stores, actor, table, after, rows=0).snapshot.schema]
    key = pickers.choose(t("Key (to count changed rows)"), columns, "tables_key", at=third, index=None)
    found = compare_versions(stores, actor, table, before, after, key=key)
    places = st.columns(3)
    places[0].metric(t("Rows added"), found.rows_added)
    places[1].metric(t("Rows removed"), found.rows_removed)
    places[2].metric(
        t("Rows changed"),
        "–" if found.rows_changed is None else found.rows_changed,
        help=t("Needs a key. Without a key a changed row counts as one removed and one added row."),
    )
    changes = [
        *(_change(field.name, t("added"), "", field.type) for field in found.fields_added),
        *(_change(field.name, t("removed"), field.type, "") for field in found.fields_removed),
        *(_change(new, t("renamed"), old, new) for old, new in found.fields_renamed),
        *(_change(field.name, t("changed"), field.before, field.after) for field in found.fields_changed),
    ]
    if changes:
        escaping.table(pd.DataFrame(changes), key="tables_diff")
    else:
        st.caption(t("Both versions have the same columns."))


def _change(column: str, change: str, before: str, after: str) -> dict[str, str]:
    return {t("Column"): column, t("Change"): change, t("Before"): before, t("After"): after}
