"""Commands about tables: tables, history, show, diff, sql, ingest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from core.commands.options import As, Json, OptionalReason, get_actor, get_stores, write_answer
from core.delta.catalog import split_version
from core.entities import Commit, Field
from core.features.data import browse, ingest

TableName = Annotated[str, typer.Argument(metavar="TABLE", help="A registered name, a path or a URI.")]


def add_to(app: typer.Typer) -> None:
    for command in (tables, history, show, diff, sql):
        app.command()(command)
    app.command("ingest")(ingest_file)


def tables(as_: As = None, as_json: Json = False) -> None:
    """Tables with their latest version and rows."""
    found = browse.list_tables(get_stores(), get_actor(as_))
    write_answer(
        [
            {"name": t.name, "uri": t.uri, "version": t.version, "rows": t.rows}
            | ({"problem": t.problem} if t.problem else {})
            for t in found
        ],
        as_json=as_json,
    )


def history(
    table: TableName,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, newest first.")] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Commits of a table, newest first."""
    commits = browse.table_history(get_stores(), get_actor(as_), table, limit=limit)
    write_answer([_commit(commit) for commit in commits], as_json=as_json)


def show(
    table: Annotated[str, typer.Argument(metavar="TABLE[@N]")],
    rows: Annotated[int, typer.Option(min=0, help="Rows in the sample.")] = 5,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """One version of a table: rows, files, schema, whether it can still be read, first rows."""
    name, version = split_version(table)
    view = browse.show_version(get_stores(), get_actor(as_), name, version, rows=rows)
    snapshot = view.snapshot
    write_answer(
        {
            "table": snapshot.table,
            "version": snapshot.version,
            "timestamp": snapshot.timestamp,
            "rows": snapshot.rows,
            "files": snapshot.files,
            "size_bytes": snapshot.size_bytes,
            "schema": [_field(field) for field in snapshot.schema],
            "readable": {"verdict": view.verdict.verdict, "reason": view.verdict.reason},
            "sample": view.sample.to_pylist() if view.sample is not None else [],
        },
        as_json=as_json,
    )


def diff(
    table: TableName,
    a: Annotated[int, typer.Argument(metavar="A", min=0)],
    b: Annotated[int, typer.Argument(metavar="B", min=0)],
    key: Annotated[str | None, typer.Option(metavar="COL", help="Column that identifies a row.")] = None,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """What differs between two versions of a table."""
    found = browse.compare_versions(get_stores(), get_actor(as_), table, a, b, key=key)
    write_answer(
        {
            "schema": {
                "added": [_field(field) for field in found.fields_added],
                "removed": [_field(field) for field in found.fields_removed],
                "changed": [{"name": c.name, "before": c.before, "after": c.after} for c in found.fields_changed],
            },
            "rows": {"added": found.rows_added, "removed": found.rows_removed, "changed": found.rows_changed},
        },
        as_json=as_json,
    )


def sql(
    query: Annotated[
        str, typer.Argument(metavar="SELECT", help="One SELECT; FROM table VERSION AS OF n reads an older version.")
    ],
    rows: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 10_000,
    as_: As = None,
    as_json: Json = False,
) -> None:
    """SQL over any version of any registered table."""
    result = browse.query(get_stores(), get_actor(as_), query, max_rows=rows)
    if not as_json:
        write_answer(result.rows.to_pylist(), as_json=False)
        return
    write_answer(
        {
            "columns": list(result.columns),
            "rows": [list(row.values()) for row in _unnamed(result.rows)],
            "versions_read": [{"table": v.table, "version": v.version} for v in result.versions_read],
            "truncated": result.truncated,
        },
        as_json=True,
    )


def ingest_file(
    table: TableName,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet.")],
    mode: Annotated[Literal["append", "overwrite"], typer.Option()] = "append",
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Saves a file as a new version of a table."""
    result = ingest.ingest_file(
        get_stores(), get_actor(as_, "scientist"), table=table, path=file, name=file.name, mode=mode, reason=reason
    )
    write_answer({"table": result.table, "version": result.version, "rows_added": result.rows_added}, as_json=as_json)


def _unnamed(rows: Any) -> list[dict[int, Any]]:
    """Rows by position: two columns of a query may bear one name."""
    return rows.rename_columns([str(i) for i in range(rows.num_columns)]).to_pylist()  # type: ignore[no-any-return]


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
    }
