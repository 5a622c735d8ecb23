"""The ingest form: shows a preview of a file and checks it against the table's schema before the file is saved."""

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
from core.texts import text
from pages._ui import escaping, messages, pickers
from pages._ui.texts import t, tn, translated

Mode = Literal["append", "overwrite"]
MODES: dict[Mode, str] = {
    "append": text("Append the rows"),
    "overwrite": text("Overwrite all rows (older versions stay readable)"),
}


def draw(stores: Stores, actor: Actor, shown: str | None) -> None:
    """Draw table, mode, file, preview and the save button. Nothing is written before the button is pressed.

    *shown* is the table that the page shows; it is the default.
    """
    names = [summary.name for summary in list_tables(stores, actor)]
    left, right = st.columns(2)
    table = left.selectbox(
        t("Into table"),
        names,
        index=names.index(shown) if shown in names else 0 if names else None,
        format_func=visible,
        key=f"tables_ingest_into_{shown}",
        accept_new_options=True,
        help=t("Type a new name to create a table."),
    )
    mode: Mode = right.radio(
        t("Mode"), list(MODES), format_func=lambda mode: translated(MODES[mode]), key="tables_ingest_mode"
    )
    _show_saved()
    # A file uploader keeps its file as long as its key stays: a saved file would be offered again.
    number = st.session_state.setdefault("tables_ingest_count", 0)
    upload = st.file_uploader(t("CSV file (UTF-8, with a header) or Parquet file"), key=f"tables_ingest_file_{number}")
    if upload is None or not table:
        return
    if not NAME.match(table):
        st.error(
            t("A table name starts with a letter or _ and holds only letters, digits, _ and -."),
            icon=":material/error:",
        )
        return
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        path = _temporary_file(upload, Path(folder))
        preview = preview_file(stores, actor, table=table, path=path, name=upload.name, mode=mode)
        _show_preview(preview, mode)
        reason = st.text_input(t("Reason (kept in the audit log)"), key="tables_ingest_reason", max_chars=500)
        if st.button(t("Save as a new version"), type="primary", icon=":material/save:", disabled=not preview.fits):
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
            st.session_state["tables_ingested"] = tn(
                "{n} row was saved as {table}@{version}.",
                "{n} rows were saved as {table}@{version}.",
                result.rows_added,
                table=result.table,
                version=result.version,
            )
            st.session_state["tables_ingest_count"] = number + 1
            # The page shows the saved version next.
            pickers.preselect("tables_table", result.table)
            pickers.preselect("tables_version", str(result.version))
            st.rerun()


def _temporary_file(upload: UploadedFile, folder: Path) -> Path:
    """Write the upload under a fixed name: the browser's file name is never used as a path."""
    path = folder / "upload"
    path.write_bytes(upload.getbuffer())
    return path


def _show_preview(preview: IngestPreview, mode: Mode) -> None:
    count = tn("**{n}** row", "**{n:,}** rows", preview.rows)
    table = messages.plain(preview.table)
    if preview.version is None:
        st.markdown(t("{rows} would become version 0 of the new table {table}.", rows=count, table=table))
    else:
        st.markdown(
            t(
                "{rows} would become version {version} of {table} ({mode}).",
                rows=count,
                version=preview.version + 1,
                table=table,
                mode=mode,
            )
        )
    escaping.table(
        pd.DataFrame(
            [
                {
                    t("Column"): column.name,
                    t("Fits"): t("✕ no") if not column.fits else t("▲ check") if column.warning else t("● yes"),
                    t("In the file"): column.file_type or "",
                    t("In the table"): column.table_type or "",
                    t("Note"): column.note,
                }
                for column in preview.columns
            ]
        ),
        style=messages.coloured,
        key="tables_ingest_check",
    )
    if not preview.fits:
        st.error(
            t("The file does not fit the table. Correct the file, or overwrite all rows to change the schema."),
            icon=":material/error:",
        )
    st.caption(t("First rows of the file:"))
    escaping.table(preview.sample.to_pandas(), key="tables_ingest_sample")


def _show_saved() -> None:
    sentence = st.session_state.pop("tables_ingested", None)
    if sentence:
        st.success(messages.plain(sentence), icon=":material/check:")
