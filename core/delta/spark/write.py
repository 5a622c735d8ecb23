"""Writes a Spark frame as one Delta commit: exactly once, on the version that was expected, with its metadata."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from typing import Any

from core.delta.engine import WriteMode, commit_metadata
from core.delta.spark import data_types
from core.entities import Table
from core.errors import SchemaMismatch
from core.identifiers import quote_spark

# Delta tells the version that a session wrote last only in the session's settings: one writer at a time.
_one_writer = threading.RLock()
_LAST_COMMIT = "spark.databricks.delta.lastCommitVersionInSession"
_COMMIT_RETRIES = "spark.databricks.delta.maxCommitAttempts"

TRANSACTION_VERSION = "1"


def commit(
    session: Any,
    table: Table,
    frame: Any,
    *,
    mode: WriteMode,
    metadata: Mapping[str, str] | None,
    transaction: str | None,
    only_at: int | None,
) -> int | None:
    """Writes *frame* and returns the new version; None if *transaction* was written before.

    With *only_at* the commit is tried once and not again above what another writer committed meanwhile.
    """
    writer = frame.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    claimed = commit_metadata(metadata, transaction)
    if transaction is not None:
        writer = writer.option("txnAppId", transaction).option("txnVersion", TRANSACTION_VERSION)
    if claimed:
        writer = writer.option("userMetadata", json.dumps(claimed, ensure_ascii=False, sort_keys=True))
    with _one_writer:
        session.conf.unset(_LAST_COMMIT)
        if only_at is not None:
            session.conf.set(_COMMIT_RETRIES, "0")
        try:
            if data_types.is_catalog_name(table.uri):
                writer.saveAsTable(data_types.identifier(table))
            else:
                writer.save(data_types.address(table))
        finally:
            if only_at is not None:
                session.conf.unset(_COMMIT_RETRIES)
        written = session.conf.get(_LAST_COMMIT, "")
    return int(written) if written else None


def fitting(frame: Any, schema: Any, table: Table, *, made_by_table: Collection[str] = ()) -> Any:
    """*frame* with its columns in the table's order. Raises SchemaMismatch unless names and types are the table's.

    Columns *made_by_table* may be left out.
    """
    have = {field.name: field for field in frame.schema}
    want = {field.name: field for field in schema}
    missing = [name for name in want if name not in have and name not in made_by_table]
    extra = [name for name in have if name not in want]
    wrong = [
        f"{name} is {_name(want[name])} and was given as {_name(have[name])}"
        for name in want
        if name in have and not _is_same(want[name].dataType, have[name].dataType)
    ]
    problems = [
        *([f"missing {', '.join(missing)}"] if missing else []),
        *([f"not in the table: {', '.join(extra)}"] if extra else []),
        *wrong,
    ]
    if problems:
        raise SchemaMismatch(
            f"{table.name} keeps its schema on append: {'; '.join(problems)}. Change the data, or overwrite.",
            table=table.name,
            missing=missing,
            extra=extra,
        )
    return frame.select(*[quote_spark(name) for name in want if name in have])


def _is_same(want: Any, have: Any) -> bool:
    return data_types.type_name(want.jsonValue()) == data_types.type_name(have.jsonValue())


def _name(field: Any) -> str:
    return data_types.type_name(field.dataType.jsonValue())
