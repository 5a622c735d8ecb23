"""Tables: versions, who wrote them, schema, rows at any version, what two versions differ in, ingest."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.access.permissions import Action
from core.entities import Commit
from core.errors import CoreError
from core.features.data.browse import list_tables, show_version, table_history, table_snapshots
from core.features.data.export_rows import version_csv
from core.features.lineage.trained_on import versions_trained
from pages._tables import diff_view, ingest_form, table_views
from pages._ui import charts, escaping, export_button, messages, paging, pickers, session

PAGE_ROWS = 50
CHARTED = 200
TABS = ("Rows", "History", "Compare versions")

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
    of = f"{table}@{version}"
    number = paging.asked("tables_page", of=of)
    view = show_version(stores, actor, table, version, rows=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    last = paging.last_page(view.rows, PAGE_ROWS)
    if last is not None and number > last:
        number = last
        view = show_version(stores, actor, table, version, rows=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    table_views.facts(view)
    if view.sample is None:
        st.warning(messages.plain(view.verdict.reason), icon=":material/block:")
    else:
        total = "unknown" if view.rows is None else view.rows
        with st.container(horizontal=True, vertical_alignment="bottom"):
            paging.turn("tables_page", number, last=last, of=of)
            export_button.csv_button(
                lambda: version_csv(stores, actor, table, version), of.replace("@", "-v"), view.rows, key="tables_csv"
            )
            st.caption(
                f"{view.sample.num_rows} of {total} rows are shown.",
                width="content",
            )
        escaping.table(view.sample.to_pandas(), key="tables_rows")
    with st.expander("Schema", icon=":material/schema:"):
        table_views.schema(view)


def ingest(at: DeltaGenerator, table: str | None) -> None:
    """The form, for whoever may ingest; *table* is what is shown."""
    if session.may(actor, Action.DATA_INGEST):
        with at.expander("Ingest a file", icon=":material/upload_file:", expanded=table is None), messages.telling():
            ingest_form.draw(stores, actor, table)


st.title("Tables")
with messages.stopping():
    found = list_tables(stores, actor)
# The form stands above the picker of the table that it offers first.
above = st.container()
if not found:
    ingest(above, None)
    st.info("There is no table yet. A data scientist ingests a CSV or Parquet file, and that makes version 0.")
    st.stop()
table_views.summary(found)
with messages.stopping():
    left, right = st.columns(2)
    name = pickers.table(found, "tables_table", at=left)
    ingest(above, name)
    assert name is not None
    commits = table_history(stores, actor, name)
    version = pickers.data_version(commits, "tables_version", at=right)
    shown, past, compared = st.tabs(TABS, key="tables_tab", bind="query-params", on_change="rerun")
    if shown.open and version is not None:
        with shown, messages.telling():
            rows(name, version)
    if past.open:
        with past:
            history(name, commits)
    if compared.open:
        with compared, messages.telling():
            diff_view.draw(stores, actor, name, commits)
