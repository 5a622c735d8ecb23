"""Tables: versions, who wrote them, schema, rows at any version, what two versions differ in, ingest."""

from __future__ import annotations

import streamlit as st

from core.entities import Commit
from core.errors import CoreError
from core.permissions import Action
from core.services.browse import list_tables, show_version, table_history, table_snapshots
from core.services.trained import versions_trained
from pages.shared import charts, diff_view, inert, ingest_form, messages, pickers, session, table_views

PAGE_ROWS = 50
CHARTED = 200

actor = session.require(Action.DATA_READ)
stores = session.stores()


def history(table: str, commits: tuple[Commit, ...]) -> None:
    """Commits with what each added and which models were trained on it."""
    try:
        trained = versions_trained(stores, actor, table)
    except CoreError as error:
        messages.show_error(error)
        trained = {}
    with messages.telling():
        snapshots = table_snapshots(stores, actor, table, newest=CHARTED)
        table_views.history(commits, snapshots, trained)
        if len(snapshots) > 1:
            oldest_first = snapshots[::-1]
            figure = charts.line(
                [s.version for s in oldest_first],
                {"rows": [s.rows for s in oldest_first]},
                title="Rows at each version",
                x_title="version",
            )
            charts.show(figure, alt=f"Rows of {table} over its versions", key="tables_growth", height=240)


def rows(table: str, version: int) -> None:
    """One version as it stood: verdict, size, schema, rows."""
    page = st.query_params.get("tables_page", "1")
    number = max(int(page), 1) if page.isdigit() else 1
    view = show_version(stores, actor, table, version, rows=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    table_views.facts(view)
    if view.sample is None:
        st.warning(messages.plain(view.verdict.reason), icon=":material/block:")
    else:
        total = view.snapshot.rows
        last = max(1, -(-total // PAGE_ROWS)) if total is not None else None
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.number_input(
                f"Page of {last or '?'}",
                min_value=1,
                max_value=last,
                step=1,
                key="tables_page",
                bind="query-params",
                width=160,
            )
            st.caption(
                f"{view.sample.num_rows} of {total if total is not None else 'unknown'} rows are shown.",
                width="content",
            )
        inert.table(view.sample.to_pandas(), key="tables_rows")
    with st.expander("Schema", icon=":material/schema:"):
        table_views.schema(view)


st.title("Tables")
with messages.stopping():
    found = list_tables(stores, actor)
if session.may(actor, Action.DATA_INGEST):
    with st.expander("Ingest a file", icon=":material/upload_file:", expanded=not found), messages.telling():
        ingest_form.draw(stores, actor)
if not found:
    st.info("There is no table yet. A data scientist ingests a CSV or Parquet file, and that makes version 0.")
    st.stop()
table_views.summary(found)
with messages.stopping():
    left, right = st.columns(2)
    name = pickers.table(found, "tables_table", at=left)
    assert name is not None
    commits = table_history(stores, actor, name)
    version = pickers.data_version(commits, "tables_version", at=right)
    shown, past, compared = st.tabs(["Rows", "History", "Compare versions"], key="tables_tab", bind="query-params")
    with shown, messages.telling():
        if version is not None:
            rows(name, version)
    with past:
        history(name, commits)
    with compared, messages.telling():
        diff_view.draw(stores, actor, name, commits)
