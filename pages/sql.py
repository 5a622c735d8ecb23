"""SQL over any version of any registered table; one SELECT, read only."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.delta.catalog import NAME
from core.features.data.browse import list_tables, query
from core.identifiers import quote_spark
from pages._ui import escaping, messages, session

MAX_ROWS = 5_000

actor = session.require(Action.DATA_QUERY)
stores = session.stores()

st.title("SQL")
with messages.stopping():
    tables = [one for one in list_tables(stores, actor) if one.problem is None]
if not tables:
    st.info("There is no table to ask yet. Ingest a CSV or Parquet file on the page **Tables**.")
    st.stop()
st.caption(
    "One SELECT in Databricks SQL. An older version: `FROM table VERSION AS OF 0`, or `TIMESTAMP AS OF '2026-01-31'`. "
    "Tables: " + ", ".join(f"{messages.plain(one.name)} ({one.version})" for one in tables)
)
name = tables[0].name if NAME.match(tables[0].name) else quote_spark(tables[0].name)
example = f"SELECT * FROM {name} VERSION AS OF 0 LIMIT 20"  # noqa: S608 -- shown, and parsed before it is run
with st.form("sql_form", border=False):
    text = st.text_area("Query", value=example, height=140, key="sql_query", bind="query-params")
    st.form_submit_button("Run", type="primary", icon=":material/play_arrow:", shortcut="Ctrl+Enter")
with messages.stopping(), st.spinner("Running"):
    result = query(stores, actor, text or "", max_rows=MAX_ROWS)
read = ", ".join(f"{messages.plain(one)}" for one in result.versions_read) or "no table"
cut = f"; only the first {MAX_ROWS} are shown" if result.truncated else ""
st.caption(f"{result.rows.num_rows} rows, read from {read}{cut}.")
frame = result.rows.rename_columns(
    [name if result.columns.index(name) == i else f"{name} ({i + 1})" for i, name in enumerate(result.columns)]
).to_pandas()
escaping.table(frame, key="sql_rows")
