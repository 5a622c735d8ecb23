"""Compares two versions of a table on a page."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import Actor, Commit
from core.features.data.browse import compare_versions, show_version
from core.features.stores import Stores
from pages._ui import escaping, pickers


def draw(stores: Stores, actor: Actor, table: str, commits: Sequence[Commit]) -> None:
    """Pickers of both versions and a key, then what differs."""
    if len(commits) < 2:
        st.info("This table has one version; there is nothing to compare it with yet.")
        return
    left, right, third = st.columns(3)
    before = pickers.data_version(commits, "tables_before", label="From", at=left, index=1)
    after = pickers.data_version(commits, "tables_after", label="To", at=right)
    assert before is not None
    assert after is not None
    columns = [field.name for field in show_version(stores, actor, table, after, rows=0).snapshot.schema]
    key = pickers.choose("Key (to see changed rows)", columns, "tables_key", at=third, index=None)
    found = compare_versions(stores, actor, table, before, after, key=key)
    places = st.columns(3)
    places[0].metric("Rows added", found.rows_added)
    places[1].metric("Rows removed", found.rows_removed)
    places[2].metric(
        "Rows changed",
        "–" if found.rows_changed is None else found.rows_changed,
        help="Needs a key: without one a changed row counts as one removed and one added.",
    )
    changes = [
        *({"Column": f.name, "What": "added", "Before": "", "After": f.type} for f in found.fields_added),
        *({"Column": f.name, "What": "removed", "Before": f.type, "After": ""} for f in found.fields_removed),
        *({"Column": f.name, "What": "changed", "Before": f.before, "After": f.after} for f in found.fields_changed),
    ]
    if changes:
        escaping.table(pd.DataFrame(changes), key="tables_diff")
    else:
        st.caption("Both versions have the same columns.")
