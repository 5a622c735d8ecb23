"""The format of a CSV file in the ingest form: what was detected, and the controls by which a person chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.escaping import visible
from core.features.data.check_columns import null_suggestion
from core.features.data.file_formats.csv_format import ENCODINGS, CsvFormat, FileReport
from core.texts import text
from pages._ui import messages
from pages._ui.texts import t, tn, translated

DELIMITERS = {",": text("comma ,"), ";": text("semicolon ;"), "\t": text("tab"), "|": text("bar |")}
DECIMALS = {".": text("decimal point (1,234.5)"), ",": text("decimal comma (1.234,5)")}
QUOTES = {'"': text('double quote "'), "'": text("single quote '")}
DATES = {
    "iso": text("year-month-day (2026-12-31)"),
    "dmy": text("day/month/year (31/12/2026)"),
    "mdy": text("month/day/year (12/31/2026)"),
}


def controls(file_id: str, at: DeltaGenerator) -> CsvFormat:
    """Draw the controls of a file's format and return what is chosen; the texts that mean null have their own."""
    key = f"tables_ingest_{{}}_{file_id}"
    with at.popover(t("Change the format"), icon=":material/tune:"):
        delimiter = _choose(t("Delimiter"), DELIMITERS, key.format("delimiter"))
        decimal = _choose(t("Numbers"), DECIMALS, key.format("decimal"))
        encoding = _choose(t("Encoding"), ENCODINGS, key.format("encoding"))
        dates = _choose(t("Dates"), DATES, key.format("dates"))
        quote = _choose(t("Quote"), QUOTES, key.format("quote"))
        header = st.toggle(t("The first line has the column names"), value=True, key=key.format("header"))
    return CsvFormat(
        encoding=encoding,
        delimiter=delimiter,
        quote=quote,
        decimal=decimal,
        header=header,
        dates=dates,
        nulls=tuple(st.session_state.get(key.format("nulls"), ())),
    )


def summary(report: FileReport) -> None:
    """Show the format with which the file was read."""
    form = report.format
    if form is None:
        st.caption(t("Parquet file"))
        return
    encoding = ENCODINGS[form.encoding or "utf-8"]
    parts = [
        t("{encoding} (guessed: check letters such as ñ)", encoding=encoding)
        if report.is_encoding_guessed
        else encoding,
        translated(DELIMITERS[form.delimiter or ","]),
        translated(DECIMALS[form.decimal or "."]),
        translated(QUOTES[form.quote or '"']),
        t("with a header") if form.header else t("without a header"),
        *([translated(DATES[form.dates])] if form.dates else []),
    ]
    st.markdown(t("Format: {format}", format=messages.plain(" · ".join(parts))))


def nulls(file_id: str, report: FileReport | None, at: DeltaGenerator) -> None:
    """Draw the choice of the texts that mean null, with those that occur in the file."""
    key = f"tables_ingest_nulls_{file_id}"
    counts = dict(report.nulls) if report is not None else {}
    chosen: Sequence[str] = st.session_state.get(key, [])
    at.multiselect(
        t("Texts that mean null"),
        list(dict.fromkeys([*counts, *chosen])),
        format_func=lambda value: _with_count(value, counts),
        key=key,
        accept_new_options=True,
        placeholder=t("Only the empty field"),
        help=t("The empty field is always null. Of other texts, only those without quotes that you choose are."),
    )
    suggested = tuple(
        dict.fromkeys(text for note in (report.notes if report else ()) for text in null_suggestion(note))
    )
    if left := [value for value in suggested if value not in chosen]:
        texts = messages.plain(", ".join(left))
        at.button(
            t("Treat {texts} as null", texts=texts),
            key=f"tables_ingest_suggested_{file_id}",
            icon=":material/lightbulb:",
            on_click=lambda: st.session_state.update({key: [*chosen, *left]}),
        )


def _choose(label: str, labels: Mapping[str, str], key: str) -> str | None:
    return st.selectbox(
        label,
        [None, *labels],
        format_func=lambda value: t("detect") if value is None else translated(labels[value]),
        key=key,
    )


def _with_count(value: str, counts: Mapping[str, int]) -> str:
    shown = visible(value)
    return tn("{text} ({n:,} value)", "{text} ({n:,} values)", counts[value], text=shown) if value in counts else shown
