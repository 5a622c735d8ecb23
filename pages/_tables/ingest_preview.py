"""The preview of a file in the ingest form: what a save would do, what to look at first, and the first rows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.features.data.check_columns import ColumnCheck
from core.features.data.check_rows import MOST_COMPARED_ROWS, IngestWarning
from core.features.data.ingest import IngestPreview
from pages._ui import escaping, messages
from pages._ui.texts import t, tn, translated

_MOST_WARNINGS = 20


def draw(preview: IngestPreview, mode: str) -> None:
    """Show the preview of a file."""
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
    if not preview.fits:
        st.error(
            t("The file does not fit the table. Correct the file, or overwrite all rows to change the schema."),
            icon=":material/error:",
        )
    if preview.warnings:
        _warnings(preview.warnings)
    warned = {warning.column for warning in preview.warnings}
    escaping.table(
        pd.DataFrame([_row(column, warned) for column in preview.columns]),
        style=messages.coloured,
        key="tables_ingest_check",
    )
    if preview.version is not None and preview.check.compared_rows:
        compared = preview.check.compared_rows
        st.caption(
            t("The file was compared with the first {rows:,} rows of the table.", rows=compared)
            if compared >= MOST_COMPARED_ROWS
            else tn(
                "The file was compared with the {n:,} row of the table.",
                "The file was compared with all {n:,} rows of the table.",
                compared,
            )
        )
    st.caption(t("First rows of the file:"))
    escaping.table(preview.sample.to_pandas(), key="tables_ingest_sample")


def _warnings(warnings: tuple[IngestWarning, ...]) -> None:
    lines = [f"- {_sentence(warning)}" for warning in warnings[:_MOST_WARNINGS]]
    if len(warnings) > _MOST_WARNINGS:
        lines.append("- " + t("and {n} more", n=len(warnings) - _MOST_WARNINGS))
    title = tn("Look at {n} thing before you save:", "Look at {n} things before you save:", len(warnings))
    st.warning("\n".join([title, "", *lines]), icon=":material/warning:")


def _sentence(warning: IngestWarning) -> str:
    message = messages.plain(warning.message)
    return message if warning.column is None else f"**{messages.plain(warning.column)}**: {message}"


def _row(column: ColumnCheck, warned: set[str | None]) -> dict[str, str]:
    fits = t("✕ no") if not column.fits else t("▲ check") if column.name in warned else t("● yes")
    return {
        t("Column"): column.name,
        t("Fits"): fits,
        t("In the file"): column.file_type or "",
        t("In the table"): column.table_type or "",
        t("Note"): translated(column.note),
    }
