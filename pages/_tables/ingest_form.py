"""The ingest form: a file is previewed and checked against the table's schema before it is saved."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import pandas as pd
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.delta.catalog import NAME
from core.entities import Actor
from core.escaping import visible
from core.features.data.browse import list_tables
from core.features.data.ingest import IngestPreview, ingest_file, preview_file
from core.features.stores import Stores
from pages._ui import escaping, messages, pickers

MODES: dict[Literal["append", "overwrite"], str] = {
    "append": "Append: add its rows",
    "overwrite": "Overwrite: replace all rows (older versions stay readable)",
}


def draw(stores: Stores, actor: Actor, shown: str | None) -> None:
    """Table, mode, file; preview; save. Nothing is written before Save."""
    names = [one.name for one in list_tables(stores, actor)]
    left, right = st.columns(2)
    table = left.selectbox(
        "Into table",
        names,
        index=names.index(shown) if shown in names else 0 if names else None,
        format_func=visible,
        key=f"tables_ingest_into_{shown}",
        accept_new_options=True,
        help="Type a new name to make a table.",
    )
    mode = right.radio("Mode", list(MODES), format_func=MODES.__getitem__, key="tables_ingest_mode")
    _saved()
    # A browser keeps an uploader's file for as long as it has its key: a saved file would be offered again.
    number = st.session_state.setdefault("tables_ingest_count", 0)
    upload = st.file_uploader("CSV (UTF-8, with a header) or Parquet", key=f"tables_ingest_file_{number}")
    if upload is None or not table:
        return
    if not NAME.match(table):
        st.error("A table's name starts with a letter or _, then letters, digits, _ and -.", icon=":material/error:")
        return
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        path = _kept(upload, Path(folder))
        preview = preview_file(stores, actor, table=table, path=path, name=upload.name, mode=mode)
        _show(preview, mode)
        reason = st.text_input("Reason (kept in the audit log)", key="tables_ingest_reason", max_chars=500)
        if st.button("Save as a new version", type="primary", icon=":material/save:", disabled=not preview.fits):
            result = ingest_file(
                stores,
                actor,
                table=table,
                path=path,
                name=upload.name,
                mode=mode,
                reason=reason,
                expected_version=-1 if preview.version is None else preview.version,
            )
            st.session_state["tables_ingested"] = (
                f"{result.table}@{result.version}: {result.rows_added} rows were saved."
            )
            st.session_state["tables_ingest_count"] = number + 1
            # What was saved is what is shown next.
            pickers.ask("tables_table", result.table)
            pickers.ask("tables_version", str(result.version))
            st.rerun()


def _kept(upload: UploadedFile, folder: Path) -> Path:
    """The bytes under a name of ours: what a browser calls a file is never a path."""
    path = folder / "upload"
    path.write_bytes(upload.getbuffer())
    return path


def _show(preview: IngestPreview, mode: str) -> None:
    where = "a new table" if preview.version is None else f"version {preview.version + 1}"
    count = "1 row" if preview.rows == 1 else f"{preview.rows:,} rows"
    st.markdown(f"**{count}** would make {where} of {messages.plain(preview.table)} ({mode}).")
    escaping.table(
        pd.DataFrame(
            [
                {
                    "Column": c.name,
                    "Fits": "● yes" if c.fits else "✕ no",
                    "In the file": c.file_type or "",
                    "In the table": c.table_type or "",
                    "Note": c.note,
                }
                for c in preview.columns
            ]
        ),
        style=messages.coloured,
        key="tables_ingest_check",
    )
    if not preview.fits:
        st.error(
            messages.plain("The file does not fit the table. Correct it, or choose overwrite to change the schema."),
            icon=":material/error:",
        )
    st.caption("Its first rows:")
    escaping.table(preview.sample.to_pandas(), key="tables_ingest_sample")


def _saved() -> None:
    told = st.session_state.pop("tables_ingested", None)
    if told:
        st.success(messages.plain(told), icon=":material/check:")
