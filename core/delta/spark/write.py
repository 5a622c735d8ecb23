"""Write a Spark frame as one Delta commit: exactly once, on the expected version, with its metadata."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from typing import Any

from core.delta.addresses import is_catalog_name
from core.delta.arrow_types import require_same_schema
from core.delta.engine import WriteMode, commit_metadata
from core.delta.schema_json import type_name
from core.delta.spark import data_types
from core.entities import Table
from core.identifiers import quote_spark

# Delta reports the version that a session wrote last only in the session's settings, so one writer works at a time.
_writer_lock = threading.RLock()
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
    """Write *frame* and return the new version, or None if *transaction* was written before.

    With *only_at* the commit is not tried again after another writer has committed.
    """
    writer = frame.write.format("delta").mode(mode)
    if mode == "overwrite":
        writer = writer.option("overwriteSchema", "true")
    user_metadata = commit_metadata(metadata, transaction)
    if transaction is not None:
        writer = writer.option("txnAppId", transaction).option("txnVersion", TRANSACTION_VERSION)
    if user_metadata:
        writer = writer.option("userMetadata", json.dumps(user_metadata, ensure_ascii=False, sort_keys=True))
    with _writer_lock:
        session.conf.unset(_LAST_COMMIT)
        if only_at is not None:
            session.conf.set(_COMMIT_RETRIES, "0")
        try:
            if is_catalog_name(table.uri):
                writer.saveAsTable(data_types.identifier(table))
            else:
                writer.save(data_types.address(table))
        finally:
            if only_at is not None:
                session.conf.unset(_COMMIT_RETRIES)
        written = session.conf.get(_LAST_COMMIT, "")
    return int(written) if written else None


def fitting(frame: Any, schema: Any, table: Table, *, filled_by_table: Collection[str] = ()) -> Any:
    """Return *frame* with its columns in the table's order, if their names and types are the table's.

    Columns *filled_by_table* may be missing. Raises SchemaMismatch, which names every difference.
    """
    given = {field.name: field for field in frame.schema}
    target = {field.name: field for field in schema}
    require_same_schema(
        table,
        missing=[name for name in target if name not in given and name not in filled_by_table],
        extra=[name for name in given if name not in target],
        wrong_types={
            name: (_type(target[name]), _type(given[name]))
            for name in target
            if name in given and _type(target[name]) != _type(given[name])
        },
    )
    return frame.select(*[quote_spark(name) for name in target if name in given])


def _type(field: Any) -> str:
    return type_name(field.dataType.jsonValue())
