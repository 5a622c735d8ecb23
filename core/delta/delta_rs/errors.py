"""Translate errors of deltalake, Arrow and their storage to ModelLedger's errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
from deltalake import exceptions

from core.delta import table_features
from core.entities import Table
from core.errors import (
    AppendOnly,
    CommitConflict,
    CoreError,
    EngineFailed,
    FeatureUnsupported,
    FilesVacuumed,
    LogCorrupt,
    SchemaMismatch,
    StorageUnavailable,
    TableNotFound,
    first_line,
)

_UNSUPPORTED = re.compile(r"Unsupported table features required: \[(?P<names>[\w, ]+)\]")

_UNKNOWN = re.compile(r"Feature '(?P<name>[\w-]+)' is not supported")

_STORE_SIGNS = ("Generic S3", "Generic Azure", "Generic GCS", "HTTP error", "error sending")


@contextmanager
def translated(table: Table, *, is_write: bool = False) -> Iterator[None]:
    """Raise errors of deltalake, Arrow and their storage as CoreErrors; a CoreError passes unchanged."""
    try:
        yield
    except CoreError:
        raise
    except exceptions.TableNotFoundError as error:
        # Callers read the log first. If the log has the table, deltalake means that it cannot build the version.
        raise TableNotFound(
            "There is no Delta table at {uri} ({table}): {cause}.",
            table=table.name,
            uri=table.uri,
            cause=first_line(error),
        ) from error
    except exceptions.CommitFailedError as error:
        # deltalake also raises this without another writer, if the table itself forbids the commit.
        if (forbidden := _forbidden(table, str(error), is_write)) is not None:
            raise forbidden from error
        raise CommitConflict(
            "{table}: another writer committed first; nothing was written. Check the table and try again. ({cause})",
            table=table.name,
            cause=first_line(error),
        ) from error
    except exceptions.SchemaMismatchError as error:
        raise SchemaMismatch(
            "{table}: the data does not fit the table: {cause}.", table=table.name, cause=first_line(error)
        ) from error
    except exceptions.DeltaProtocolError as error:
        raise FeatureUnsupported(
            "{table} uses a feature that {engine} does not know: {cause}. Read the table with the spark engine "
            "(MODELLEDGER_ENGINE=spark).",
            table=table.name,
            engine=table_features.DELTA_RS,
            cause=first_line(error),
        ) from error
    except (exceptions.DeltaError, pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _from_message(table, error, is_write) from error
    except BaseException as error:
        # pyo3's PanicException is not an Exception, and its stream raises plain Exceptions. Other errors pass.
        if type(error).__name__ != "PanicException" and type(error) is not Exception:
            raise
        raise _from_message(table, error, is_write) from error


def _from_message(table: Table, error: BaseException, is_write: bool) -> CoreError:
    """Return the error for a failure that deltalake reports by one class for most failures: its message decides."""
    message, cause = str(error), first_line(error)
    if (forbidden := _forbidden(table, message, is_write)) is not None:
        return forbidden
    if unknown := _UNKNOWN.search(message):
        return table_features.unreadable(table_features.DELTA_RS, table, [unknown["name"]])
    if "already exists at" in message:
        return CommitConflict(
            "{table}: another writer committed first; nothing was written. Check the table and try again.",
            table=table.name,
        )
    if "not found: No such file" in message or ("Object at location" in message and "not found" in message):
        return FilesVacuumed("{table}: a file is missing in storage: {cause}.", table=table.name, cause=cause)
    if "schemaString" in message and "non-nullable" in message:
        return FeatureUnsupported(
            "{table}: a commit describes the table without columns, as Delta Live Tables write version 0. {engine} "
            "cannot open such a table before a checkpoint follows. Use the spark engine (MODELLEDGER_ENGINE=spark).",
            table=table.name,
            engine=table_features.DELTA_RS,
        )
    if "_last_checkpoint" in message:
        return LogCorrupt(
            "{table}: {file} names a checkpoint that is missing. History and snapshots are correct; rows cannot be "
            "read until that file is removed.",
            table=table.name,
            file="_delta_log/_last_checkpoint",
        )
    if "Malformed JSON" in message or "Json error" in message:
        # The log's own lines were parsed before: what remains is the text of schemas and statistics inside them.
        return LogCorrupt(
            "{table}: {engine} cannot read the log: {cause}. If statistics of data files are damaged, the spark engine "
            "still reads the rows (MODELLEDGER_ENGINE=spark).",
            table=table.name,
            engine=table_features.DELTA_RS,
            cause=cause.rstrip("."),
        )
    if "LogSegment" in message or "log segment" in message:
        return LogCorrupt("{table}: the log cannot be read: {cause}.", table=table.name, cause=cause)
    if "nsupported" in message or "not supported" in message:
        return FeatureUnsupported(
            "{table}: {engine} does not support this: {cause}.",
            table=table.name,
            engine=table_features.DELTA_RS,
            cause=cause,
        )
    if any(sign in message for sign in _STORE_SIGNS):
        return StorageUnavailable(
            "The storage of {uri} does not answer or refuses access: {cause}.", uri=table.uri, cause=cause
        )
    if isinstance(error, OSError):
        return StorageUnavailable("The storage of {uri} refuses access: {cause}.", uri=table.uri, cause=cause)
    return EngineFailed(
        "{table}: {engine} failed: {cause}.", table=table.name, engine=table_features.DELTA_RS, cause=cause
    )


def _forbidden(table: Table, message: str, is_write: bool) -> CoreError | None:
    """Return the error if the table itself forbids the operation: an unknown feature or a broken rule."""
    if unsupported := _UNSUPPORTED.search(message):
        # deltalake writes names as Rust does: RowTracking. The protocol writes rowTracking, and clustering.
        names = [name[:1].lower() + name[1:] for name in unsupported["names"].split(", ")]
        names = [f"{name.removesuffix('Preview')}-preview" if name.endswith("Preview") else name for name in names]
        names = ["clustering" if name == "clusteredTable" else name for name in names]
        if not is_write or table_features.unread(table_features.DELTA_RS, names):
            return table_features.unreadable(table_features.DELTA_RS, table, names)
        return table_features.unwritable(table_features.DELTA_RS, table, names)
    if "on column-mapped tables is not yet supported" in message:
        return FeatureUnsupported(
            "{table} uses columnMapping, and {engine} cannot change the columns of such a table. Keep the columns, or "
            "use the spark engine (MODELLEDGER_ENGINE=spark).",
            table=table.name,
            engine=table_features.DELTA_RS,
            features=["columnMapping"],
        )
    if "Delta table is append-only" in message:
        return AppendOnly(
            "{table} is append-only (delta.appendOnly); nothing was written. Append the rows instead.",
            table=table.name,
        )
    if failed := re.search(r"(\d+) rows failed validation check", message):
        return SchemaMismatch(
            "{table}: rows that break a rule of the table: {rows}. The rule is NOT NULL, a CHECK constraint or the "
            "expression of a generated column. Nothing was written; change the data.",
            table=table.name,
            rows=int(failed[1]),
        )
    return None
