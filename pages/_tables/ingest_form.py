"""The ingest form: a table or a new one, a file, the check of the file, and the save."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.delta.catalog import NAME
from core.entities import Actor
from core.errors import CoreError
from core.escaping import visible
from core.features.data.browse import TableSummary, list_tables
from core.features.data.file_formats.csv_format import CsvFormat
from core.features.data.ingest import IngestPreview, ingest_file, preview_file
from core.features.stores import Stores
from core.texts import text
from pages._tables import ingest_format, ingest_preview
from pages._ui import messages, pickers
from pages._ui.texts import t, tn, translated

Mode = Literal["append", "overwrite"]
MODES: dict[Mode, str] = {
    "append": text("Append the rows"),
    "overwrite": text("Overwrite all rows (older versions stay readable)"),
}
TARGETS = {"add": text("Add to a table"), "new": text("New table")}
_PREVIEW = "tables_ingest_preview"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a file goes. *version* is the latest of an existing table."""

    table: str
    new: bool
    mode: Mode = "append"
    version: int | None = None


def draw(stores: Stores, actor: Actor) -> None:
    """Draw target, file, format, preview and the save button. Nothing is written before the button is pressed."""
    # A widget keeps its value as long as its key stays: after a save the form begins anew.
    number = st.session_state.setdefault("tables_ingest_count", 0)
    target = _target(list_tables(stores, actor), number)
    _show_saved()
    upload = st.file_uploader(t("CSV file or Parquet file"), key=f"tables_ingest_file_{number}")
    if upload is None:
        return
    if target is None:
        st.info(t("Choose the table for the rows, or make a new one."), icon=":material/table:")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        shown = st.container(width="content")
        chosen = ingest_format.controls(upload.file_id, st.container(width="content"))
    nulls = st.container()
    try:
        preview = _preview(stores, actor, target, upload, chosen)
    except CoreError as error:
        ingest_format.nulls(upload.file_id, None, nulls)
        messages.show_error(error)
        return
    with shown:
        ingest_format.summary(preview.report)
    if preview.report.format is not None:
        ingest_format.nulls(upload.file_id, preview.report, nulls)
    ingest_preview.draw(preview, target.mode)
    reason = st.text_input(t("Reason (kept in the audit log)"), key="tables_ingest_reason", max_chars=500)
    label = t("Create the table") if target.new else t("Save as a new version")
    if st.button(label, type="primary", icon=":material/save:", disabled=not preview.fits):
        _save(stores, actor, target, upload, chosen, preview, reason)


def _target(tables: Sequence[TableSummary], number: int) -> Target | None:
    """Draw the choice of the table. No table is preset: rows are not appended to a table that nobody chose."""
    kind = st.segmented_control(
        t("Target"),
        list(TARGETS),
        default="add" if tables else "new",
        format_func=lambda kind: translated(TARGETS[kind]),
        key=f"tables_ingest_target_{number}",
        disabled=not tables,
        label_visibility="collapsed",
        required=True,
    )
    if kind == "new":
        name = st.text_input(t("Name of the new table"), key=f"tables_ingest_name_{number}", max_chars=200).strip()
        if not name:
            return None
        if not NAME.match(name):
            st.error(
                t("A table name starts with a letter or _ and holds only letters, digits, _ and -."),
                icon=":material/error:",
            )
            return None
        return Target(table=name, new=True)
    left, right = st.columns(2)
    versions = {table.name: table.version for table in tables}
    chosen = left.selectbox(
        t("Into table"),
        list(versions),
        index=None,
        format_func=visible,
        placeholder=t("Choose a table"),
        key=f"tables_ingest_into_{number}",
    )
    mode: Mode = right.radio(
        t("Mode"), list(MODES), format_func=lambda mode: translated(MODES[mode]), key=f"tables_ingest_mode_{number}"
    )
    return None if chosen is None else Target(table=chosen, new=False, mode=mode, version=versions[chosen])


def _preview(stores: Stores, actor: Actor, target: Target, upload: UploadedFile, chosen: CsvFormat) -> IngestPreview:
    """Return the preview; it is kept until the file, the target, its version or the format change."""
    key = (actor.name, upload.file_id, target, chosen)
    kept = st.session_state.get(_PREVIEW)
    if kept is not None and kept[0] == key:
        preview: IngestPreview = kept[1]
        return preview
    with _temporary_file(upload) as path, st.spinner(t("The file is checked …")):
        preview = preview_file(
            stores,
            actor,
            table=target.table,
            path=path,
            name=upload.name,
            mode=target.mode,
            chosen=chosen,
            new=target.new,
        )
    st.session_state[_PREVIEW] = (key, preview)
    return preview


def _save(
    stores: Stores,
    actor: Actor,
    target: Target,
    upload: UploadedFile,
    chosen: CsvFormat,
    preview: IngestPreview,
    reason: str,
) -> None:
    with _temporary_file(upload) as path:
        result = ingest_file(
            stores,
            actor,
            table=target.table,
            path=path,
            name=upload.name,
            mode=target.mode,
            reason=reason,
            expected_version=-1 if preview.version is None else preview.version,
            chosen=chosen,
            new=target.new,
        )
    st.session_state["tables_ingested"] = tn(
        "{n} row was saved as {table}@{version}.",
        "{n} rows were saved as {table}@{version}.",
        result.rows_added,
        table=result.table,
        version=result.version,
    )
    st.session_state["tables_ingest_count"] += 1
    st.session_state.pop(_PREVIEW, None)
    # The page shows the saved version next.
    pickers.preselect("tables_table", result.table)
    pickers.preselect("tables_version", str(result.version))
    st.rerun()


@contextmanager
def _temporary_file(upload: UploadedFile) -> Iterator[Path]:
    """Give the upload as a file with a fixed name: the browser's file name is never used as a path."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        path = Path(folder) / "upload"
        path.write_bytes(upload.getbuffer())
        yield path


def _show_saved() -> None:
    sentence = st.session_state.pop("tables_ingested", None)
    if sentence:
        st.success(messages.plain(sentence), icon=":material/check:")
