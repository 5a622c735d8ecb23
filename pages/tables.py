"""Tables: versions with their writers, schema and rows, the differences of two versions, and ingest."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.access.permissions import Action
from core.entities import Commit
from core.errors import CoreError
from core.features.data.browse import list_tables, show_version, table_history, table_snapshots
from core.features.data.export_rows import version_csv
from core.features.history.as_of import state_at, trained_on_at
from core.features.lineage.trained_on import versions_trained
from pages._tables import commit_view, diff_view, ingest_form, table_views
from pages._ui import charts, escaping, export_button, messages, paging, pickers, session
from pages._ui.texts import t, tn

PAGE_ROWS = 50
CHARTED = 200

actor = session.require(Action.DATA_READ)
stores = session.stores()
moment = session.moment()


def history(table: str, commits: tuple[Commit, ...], version: int | None) -> None:
    """Show the commits with the rows that each added and the models trained on it, and the details of *version*."""
    try:
        if moment is None:
            trained = versions_trained(stores, actor, table)
        else:
            trained = trained_on_at(state_at(stores, actor, moment), table)
    except CoreError as error:
        messages.show_error(error)
        trained = {}
    with messages.show_errors():
        snapshots = table_snapshots(stores, actor, table, newest=CHARTED, at=moment)
        table_views.history(
            commits,
            snapshots,
            trained,
            key=f"tables_history_{table}",
            on_pick=lambda number: pickers.preselect("tables_version", str(number)),
        )
        for commit in commits:
            if commit.version == version:
                commit_view.details(commit)
        if len(snapshots) > 1:
            oldest_first = snapshots[::-1]
            figure = charts.line(
                [snapshot.version for snapshot in oldest_first],
                {t("rows"): [snapshot.rows for snapshot in oldest_first]},
                title=t("Rows of each version"),
                x_title=t("version"),
            )
            charts.show(figure, alt=t("Rows of each version of {table}", table=table), key="tables_growth", height=240)


def rows(table: str, version: int) -> None:
    """Show one version: verdict, size, rows and schema."""
    of = f"{table}@{version}"
    number = paging.requested_page("tables_page", of=of)
    view = show_version(stores, actor, table, version, rows=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    last = paging.last_page(view.rows, PAGE_ROWS)
    if last is not None and number > last:
        number = last
        view = show_version(stores, actor, table, version, rows=PAGE_ROWS, offset=(number - 1) * PAGE_ROWS)
    table_views.facts(view)
    if view.sample is None:
        st.warning(messages.plain(view.verdict.reason), icon=":material/block:")
    else:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            paging.page_box("tables_page", number, last=last, of=of)
            export_button.csv_button(
                lambda: version_csv(stores, actor, table, version), of.replace("@", "-v"), view.rows, key="tables_csv"
            )
            shown = view.sample.num_rows
            st.caption(
                tn("{n:,} row is shown.", "{n:,} rows are shown.", shown)
                if view.rows is None
                else t("{shown:,} of {total:,} rows are shown.", shown=shown, total=view.rows),
                width="content",
            )
        escaping.table(view.sample.to_pandas(), key="tables_rows")
    with st.expander(t("Schema"), icon=":material/schema:"):
        table_views.schema(view)


def ingest(at: DeltaGenerator, *, expanded: bool = False) -> None:
    """Draw the form for an actor who may ingest."""
    if moment is None and session.may(actor, Action.DATA_INGEST):
        with (
            at.expander(t("Ingest a file"), icon=":material/upload_file:", expanded=expanded),
            messages.show_errors(),
        ):
            ingest_form.draw(stores, actor)


st.title(t("Tables"))
with messages.stop_on_error():
    tables = list_tables(stores, actor, at=moment)
above = st.container()
if not tables:
    ingest(above, expanded=True)
    st.info(t("No tables yet. A data scientist ingests a CSV or Parquet file, which becomes version 0 of a table."))
    st.stop()
table_views.summary(tables)
if moment is not None:
    st.caption(t("Versions count by the times of their commits, which come from the clocks of their writers."))
with messages.stop_on_error():
    left, right = st.columns(2)
    name = pickers.table(tables, "tables_table", at=left)
    ingest(above)
    assert name is not None
    commits = table_history(stores, actor, name, at=moment)
    if not commits:
        st.info(t("The table had no version at that moment."))
        st.stop()
    version = pickers.data_version(commits, "tables_version", at=right)
    current, past, compared = st.tabs(
        (t("Rows"), t("History"), t("Compare versions")), key="tables_tab", bind="query-params", on_change="rerun"
    )
    if current.open and version is not None:
        with current, messages.show_errors():
            rows(name, version)
    if past.open:
        with past:
            history(name, commits, version)
    if compared.open:
        with compared, messages.show_errors():
            diff_view.draw(stores, actor, name, commits)
