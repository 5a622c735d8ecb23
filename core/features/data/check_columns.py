"""Compare the columns of a file with those of its table: what fits, what a save would change, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from core.errors import first_line
from core.features.data.file_formats.csv_format import ColumnNote, FileReport
from core.features.data.file_formats.null_texts import few_words
from core.texts import plural, text


@dataclass(frozen=True, kw_only=True)
class ColumnCheck:
    """One column of the file compared with the table. A type is None if that side has no such column.

    *warning* is the kind of a difference that can be saved, but that a person should look at first; *note* says it.
    """

    name: str
    file_type: str | None
    table_type: str | None
    fits: bool
    warning: str | None = None
    note: str


def check_columns(
    data: pa.Table, schema: pa.Schema | None, report: FileReport, *, is_append: bool
) -> tuple[ColumnCheck, ...]:
    """Compare the columns of *data* with the table's *schema*; None means a new table.

    An overwrite gives the table the file's columns: nothing is refused, and each difference is a warning.
    """
    notes = {note.column: note for note in report.notes}
    if schema is None:
        return tuple(_new(field, notes.get(field.name)) for field in data.schema)
    check = _appended if is_append else _overwritten
    checks = [check(data, field, notes.get(field.name)) for field in schema]
    extra = [field for field in data.schema if field.name not in schema.names]
    return (*checks, *(_extra(field, schema, notes.get(field.name), is_append=is_append) for field in extra))


def describe(note: ColumnNote, column_type: pa.DataType) -> str:
    """Return why a column of the file has *column_type*."""
    kind = text("text") if pa.types.is_string(column_type) else str(column_type)
    values = {"line": note.line, "found": note.found}
    match note.reason:
        case "ambiguous_date":
            return text(
                "{type}: day and month of {found!r} in line {line} can be exchanged; choose the order of dates",
                type=kind,
                **values,
            )
        case "ambiguous_number":
            return text(
                "{type}: {found!r} in line {line} can be a fraction or thousands; choose the decimal mark",
                type=kind,
                **values,
            )
        case "point":
            return text(
                "{found!r} in line {line} was read with a decimal point; if the point groups thousands, choose the "
                "decimal comma",
                **values,
            )
    return _suggesting(note, text("{type} because of {found!r} in line {line}", type=kind, **values))


def describe_misfit(note: ColumnNote, column_type: pa.DataType) -> str:
    """Return which value does not have the table's type."""
    if note.reason != "text":
        return describe(note, column_type)
    sentence = text("line {line}: {found!r} is not {type}", line=note.line, found=note.found, type=note.expected)
    return _suggesting(note, sentence)


def _suggesting(note: ColumnNote, sentence: str) -> str:
    if note.count > 1:
        sentence = plural(
            "{before} and {n:,} more value", "{before} and {n:,} more values", note.count - 1, before=sentence
        )
    if suggestion := null_suggestion(note):
        return text("{because}; treat {texts} as null?", because=sentence, texts=", ".join(suggestion))
    return sentence


def null_suggestion(note: ColumnNote) -> tuple[str, ...]:
    """Return the few texts that alone keep the column from its type."""
    return few_words(note.texts) if note.reason == "text" else ()


def _new(field: pa.Field, note: ColumnNote | None) -> ColumnCheck:
    if note is None:
        return _check(field, None, note=text("new column"))
    return _check(field, None, warning=note.reason, note=describe(note, field.type))


def _extra(field: pa.Field, schema: pa.Schema, note: ColumnNote | None, *, is_append: bool) -> ColumnCheck:
    if not is_append:
        return _new(field, note)
    like = next((name for name in schema.names if name.casefold() == field.name.casefold()), None)
    if like is not None:
        return _check(field, None, fits=False, note=text("the table has {column!r}; rename the column", column=like))
    return _check(field, None, fits=False, note=text("the table has no such column"))


def _appended(data: pa.Table, field: pa.Field, note: ColumnNote | None) -> ColumnCheck:
    if field.name not in data.column_names:
        if field.nullable:
            return _check(
                None, field, warning="missing_column", note=text("missing in the file; its values will be null")
            )
        return _check(None, field, fits=False, note=text("missing in the file, and the table does not allow null"))
    column, file_field = data.column(field.name), data.schema.field(field.name)
    if column.null_count and not field.nullable:
        missing = text("{count} values are missing, and the table does not allow null", count=column.null_count)
        return _check(file_field, field, fits=False, note=missing)
    if note is not None and note.reason != "point":
        reason = describe_misfit(note, file_field.type)
        return _check(file_field, field, fits=False, note=text("does not fit: {reason}", reason=reason))
    try:
        for chunk in column.chunks:
            chunk.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        return _check(file_field, field, fits=False, note=text("does not fit: {reason}", reason=first_line(error)))
    if note is not None:
        return _check(file_field, field, warning=note.reason, note=describe(note, file_field.type))
    if column.type == field.type:
        return _check(file_field, field, note=text("same type as in the table"))
    return _check(file_field, field, note=text("saved as {type} without loss", type=str(field.type)))


def _overwritten(data: pa.Table, field: pa.Field, note: ColumnNote | None) -> ColumnCheck:
    if field.name not in data.column_names:
        return _check(
            None, field, warning="missing_column", note=text("missing in the file; the table loses the column")
        )
    file_field = data.schema.field(field.name)
    if note is not None:
        return _check(file_field, field, warning=note.reason, note=describe(note, file_field.type))
    if file_field.type == field.type:
        return _check(file_field, field, note=text("same type as in the table"))
    changed = text("the type changes from {before} to {after}", before=str(field.type), after=str(file_field.type))
    return _check(file_field, field, warning="type_changed", note=changed)


def _check(
    file_field: pa.Field | None,
    table_field: pa.Field | None,
    *,
    fits: bool = True,
    warning: str | None = None,
    note: str,
) -> ColumnCheck:
    file_type = None if file_field is None else str(file_field.type)
    table_type = None if table_field is None else str(table_field.type)
    name = next(field.name for field in (file_field, table_field) if field is not None)
    return ColumnCheck(name=name, file_type=file_type, table_type=table_type, fits=fits, warning=warning, note=note)
