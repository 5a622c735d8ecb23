"""SQL: one SELECT over any version of the registered tables, read only."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.delta.catalog import NAME
from core.features.data.browse import list_tables, query
from core.identifiers import quote_spark
from pages._ui import escaping, messages, session
from pages._ui.texts import t, tn

MAX_ROWS = 5_000

actor = session.require(Action.DATA_QUERY)
stores = session.stores()
moment = session.moment()

st.title(t("SQL"))
with messages.stop_on_error():
    tables = [table for table in list_tables(stores, actor, at=moment) if table.problem is None]
if not tables:
    if moment is None:
        st.info(t("No tables yet. Ingest a CSV or Parquet file on the page **Tables**."))
    else:
        st.info(t("No table had a version at that moment."))
    st.stop()
if moment is not None:
    st.caption(
        t(
            "A table is read at its version of that moment, by the times of its commits, which come from the clocks "
            "of their writers. A version that the query names is read as written."
        )
    )
st.caption(
    t(
        "One SELECT in Databricks SQL. For an older version write `FROM table VERSION AS OF 0` or "
        "`TIMESTAMP AS OF '2026-01-31'`. Tables with their latest versions: {tables}",
        tables=", ".join(f"{messages.plain(table.name)} ({table.version})" for table in tables),
    )
)
name = tables[0].name if NAME.match(tables[0].name) else quote_spark(tables[0].name)
version = "" if moment else " VERSION AS OF 0"
example = f"SELECT * FROM {name}{version} LIMIT 20"  # noqa: S608 -- shown, and parsed before it is run
with st.form("sql_form", border=False):
    sql = st.text_area(t("Query"), value=example, height=140, key="sql_query", bind="query-params")
    st.form_submit_button(t("Run"), type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter")
with messages.stop_on_error(), st.spinner(t("Running the query")):
    result = query(stores, actor, sql or "", max_rows=MAX_ROWS, at=moment)
parts = [tn("{n} row", "{n:,} rows", result.rows.num_rows)]
if result.truncated:
    parts.append(t("only the first {most:,} rows are shown", most=MAX_ROWS))
if result.versions_read:
    parts.append(t("read from {tables}", tables=", ".join(map(messages.plain, result.versions_read))))
st.caption(" · ".join(parts))
frame = result.rows.rename_columns(
    [name if result.columns.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(result.columns)]
).to_pandas()
escaping.table(frame, key="sql_rows")
