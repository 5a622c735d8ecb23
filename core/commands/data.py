"""Commands for tables: tables, history, show, diff, sql, ingest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.commands.options import As, AsOf, Json, OptionalReason, get_actor, get_stores, parse_as_of, write_answer
from core.commands.output import table_rows
from core.delta.catalog import split_version
from core.entities import Commit, Field
from core.escaping import line
from core.features.data import browse, ingest
from core.features.data.file_formats.csv_format import CsvFormat
from core.texts import text

_SHOWN_CHARACTERS = 300

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="Registered name, path or URI.")]


def add_to(app: typer.Typer) -> None:
    for command in (tables, history, show, diff, sql):
        app.command()(command)
    app.command("ingest")(ingest_file)


def tables(as_of: AsOf = None, as_: As = None, as_json: Json = False) -> None:
    """List tables with their latest version and number of rows."""
    listed = browse.list_tables(get_stores(), get_actor(as_), at=parse_as_of(as_of))
    write_answer(
        [
            {"name": t.name, "uri": t.uri, "version": t.version, "rows": t.rows}
            | ({"problem": t.problem} if t.problem else {})
            for t in listed
        ],
        as_json=as_json,
    )


def history(
    table: TableName,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most this many commits.")] = None,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """List the commits of a table, newest first."""
    commits = browse.table_history(get_stores(), get_actor(as_), table, limit=limit, at=parse_as_of(as_of))
    write_answer([_commit(commit) if as_json else _commit_line(commit) for commit in commits], as_json=as_json)


def show(
    table: Annotated[str, typer.Argument(metavar="TABLE[@N]", help="Table, and version if not the latest.")],
    rows: Annotated[int, typer.Option(min=0, help="Number of sample rows.")] = 5,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show one version of a table: schema, size, readability and sample rows."""
    name, version = split_version(table)
    view = browse.show_version(get_stores(), get_actor(as_), name, version, rows=rows)
    snapshot = view.snapshot
    write_answer(
        {
            "table": snapshot.table,
            "version": snapshot.version,
            "timestamp": snapshot.timestamp,
            "rows": view.rows,
            "files": snapshot.files,
            "size_bytes": snapshot.size_bytes,
            "schema": [_field(field) for field in snapshot.schema],
            "readable": {"verdict": view.verdict.verdict, "reason": view.verdict.reason},
            "sample": table_rows(view.sample) if view.sample is not None else [],
        },
        as_json=as_json,
    )


def diff(
    table: TableName,
    a: Annotated[int, typer.Argument(metavar="A", min=0, help="First version.")],
    b: Annotated[int, typer.Argument(metavar="B", min=0, help="Second version.")],
    key: Annotated[str | None, typer.Option(metavar="COL", help="Column that identifies a row.")] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Show the differences between two versions of a table."""
    difference = browse.compare_versions(get_stores(), get_actor(as_), table, a, b, key=key)
    write_answer(
        {
            "schema": {
                "added": [_field(field) for field in difference.fields_added],
                "removed": [_field(field) for field in difference.fields_removed],
                "changed": [{"name": c.name, "before": c.before, "after": c.after} for c in difference.fields_changed],
                "renamed": [{"before": before, "after": after} for before, after in difference.fields_renamed],
            },
            "rows": {
                "added": difference.rows_added,
                "removed": difference.rows_removed,
                "changed": difference.rows_changed,
            },
        },
        as_json=as_json,
    )


def sql(
    query: Annotated[
        str, typer.Argument(metavar="SELECT", help="One SELECT. FROM table VERSION AS OF n reads version n.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="Return at most this many rows.")] = 10_000,
    as_of: AsOf = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Run a SQL query over any version of the registered tables."""
    result = browse.query(get_stores(), get_actor(as_), query, max_rows=rows, at=parse_as_of(as_of))
    if not as_json:
        write_answer(table_rows(result.rows), as_json=False)
        return
    write_answer(
        {
            "columns": list(result.columns),
            "rows": [list(row.values()) for row in _rows_by_position(result.rows)],
            "versions_read": [{"table": v.table, "version": v.version} for v in result.versions_read],
            "truncated": result.truncated,
        },
        as_json=True,
    )


def ingest_file(
    table: TableName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet file.")],
    mode: Annotated[Literal["append", "overwrite"], typer.Option(help="Add the rows, or replace all rows.")] = "append",
    new: Annotated[bool, typer.Option("--new", help="The table must not exist yet.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Save nothing if there are warnings.")] = False,
    null: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Unquoted text that means null. May be repeated.")
    ] = None,
    delimiter: Annotated[Literal[",", ";", "tab", "|"] | None, typer.Option(help="Default: detected.")] = None,
    decimal: Annotated[Literal[".", ","] | None, typer.Option(help="Decimal mark. Default: detected.")] = None,
    encoding: Annotated[
        Literal["utf-8", "windows-1252", "utf-16"] | None,
        typer.Option(help="Default: detected.", case_sensitive=False),
    ] = None,
    quote: Annotated[Literal['"', "'"] | None, typer.Option(help="Quote character. Default: detected.")] = None,
    header: Annotated[bool, typer.Option("--header/--no-header", help="The first line has the column names.")] = True,
    dates: Annotated[
        Literal["iso", "dmy", "mdy"] | None,
        typer.Option(help="Order of day, month and year. Default: detected, if only one order is possible."),
    ] = None,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Save a file as a new version of a table. Warnings of the check before the save go to stderr."""
    result = ingest.ingest_file(
        get_stores(),
        get_actor(as_, "scientist"),
        table=table,
        path=file,
        name=file.name,
        mode=mode,
        reason=reason,
        chosen=CsvFormat(
            encoding=encoding,
            delimiter="\t" if delimiter == "tab" else delimiter,
            quote=quote,
            decimal=decimal,
            header=header,
            dates=dates,
            nulls=tuple(null or ()),
        ),
        new=new,
        strict=strict,
    )
    for warning in result.warnings:
        typer.echo(line(text("Warning: {warning}", warning=warning)), err=True)
    answer = {
        "table": result.table,
        "version": result.version,
        "rows_added": result.rows_added,
        "format": None if result.format is None else result.format.to_json(),
    }
    if as_json:
        answer["warnings"] = [{"kind": w.kind, "column": w.column, "message": w.message} for w in result.warnings]
    write_answer(answer, as_json=as_json)


def _rows_by_position(rows: Any) -> list[dict[str, Any]]:
    """Rows with column positions as keys: two columns of a query may have the same name."""
    return table_rows(rows.rename_columns([str(number) for number in range(rows.num_columns)]))


def _field(field: Field) -> dict[str, Any]:
    return {"name": field.name, "type": field.type, "nullable": field.nullable}


def _commit(commit: Commit) -> dict[str, Any]:
    return {
        "version": commit.version,
        "timestamp": commit.timestamp,
        "operation": commit.operation,
        "user": commit.claimed_by,
        "rows_added": commit.rows_added,
        "rows_removed": commit.rows_removed,
        "engine": commit.engine,
        "metadata": dict(commit.metadata),
        **asdict(commit.details),
    }


def _commit_line(commit: Commit) -> dict[str, Any]:
    """The commit for people: its parameters in one text, and of the other claims those that the writer made."""
    claims = asdict(commit.details)
    shown = ("cluster_id", "isolation_level", "is_blind_append", "read_version", "job", "notebook")
    return {
        **{name: value for name, value in _commit(commit).items() if name not in claims},
        "parameters": {name: _compact(value) for name, value in commit.details.parameters.items()},
        "claims": {name: claims[name] for name in shown if claims[name] not in (None, {})},
    }


def _compact(value: str) -> str:
    return value if len(value) <= _SHOWN_CHARACTERS else value[: _SHOWN_CHARACTERS - 1] + "…"
