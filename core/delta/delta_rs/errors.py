"""deltalake's, Arrow's and their storage's errors in our words: which fact each names."""

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

_LACKING = re.compile(r"Unsupported table features required: \[(?P<names>[\w, ]+)\]")


@contextmanager
def translated(table: Table) -> Iterator[None]:
    """Errors of deltalake, Arrow and its storage as ours; those that are ours already pass."""
    try:
        yield
    except CoreError:
        raise
    except exceptions.TableNotFoundError as error:
        # Our own log is asked first: where it knows the table, deltalake means that it finds no way to the version.
        raise TableNotFound(
            f"There is no Delta table at {table.uri} ({table.name}): {first_line(error)}", table=table.name
        ) from error
    except exceptions.CommitFailedError as error:
        # Also raised where no other writer is about: the table itself forbids the commit, and will the next time.
        if (forbidden := _forbidden(table, str(error))) is not None:
            raise forbidden from error
        raise CommitConflict(
            f"{table.name}: another writer was first; nothing was written. Look at it again. ({first_line(error)})",
            table=table.name,
        ) from error
    except exceptions.SchemaMismatchError as error:
        raise SchemaMismatch(f"{table.name}: the data does not fit: {first_line(error)}", table=table.name) from error
    except exceptions.DeltaProtocolError as error:
        raise FeatureUnsupported(
            f"{table.name} uses a feature that {table_features.DELTA_RS} does not know: {first_line(error)}. "
            "Read it with the Spark engine.",
            table=table.name,
        ) from error
    except (exceptions.DeltaError, pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise _by_its_words(table, error) from error
    except BaseException as error:
        # pyo3's PanicException is no Exception, and its stream raises bare ones; what is not theirs passes.
        if type(error).__name__ != "PanicException" and type(error) is not Exception:
            raise
        raise _by_its_words(table, error) from error


def _by_its_words(table: Table, error: BaseException) -> CoreError:
    """deltalake has one class for most failures; its words tell which it is."""
    text, line = str(error), first_line(error)
    if (forbidden := _forbidden(table, text)) is not None:
        return forbidden
    if "already exists at" in text:
        return CommitConflict(f"{table.name}: another writer was first; nothing was written. Look at it again.")
    if "not found: No such file" in text or ("Object at location" in text and "not found" in text):
        return FilesVacuumed(f"{table.name}: a file is gone from storage: {line}", table=table.name)
    if "_last_checkpoint" in text:
        return LogCorrupt(
            f"{table.name}: _delta_log/_last_checkpoint names a checkpoint that is gone; history and snapshots are "
            "right, rows cannot be read until that file is removed.",
            table=table.name,
            file="_delta_log/_last_checkpoint",
        )
    if "LogSegment" in text or "Json error" in text or "log segment" in text:
        return LogCorrupt(f"{table.name}: its log cannot be read: {line}", table=table.name)
    if "nsupported" in text or "not supported" in text:
        return FeatureUnsupported(f"{table.name}: {table_features.DELTA_RS} cannot do this: {line}", table=table.name)
    if any(sign in text for sign in ("Generic S3", "Generic Azure", "Generic GCS", "HTTP error", "error sending")):
        return StorageUnavailable(f"The storage of {table.uri} does not answer or refuses: {line}", uri=table.uri)
    if isinstance(error, OSError):
        return StorageUnavailable(f"The storage of {table.uri} refuses: {line}", uri=table.uri)
    return EngineFailed(f"{table.name}: {table_features.DELTA_RS} failed: {line}", table=table.name)


def _forbidden(table: Table, text: str) -> CoreError | None:
    """What the table itself does not allow, whoever else writes: a feature that is not known, a rule that is broken."""
    if lacking := _LACKING.search(text):
        # deltalake writes them as Rust does: RowTracking; the protocol begins them in lower case, and says clustering.
        names = [name[:1].lower() + name[1:] for name in lacking["names"].split(", ")]
        names = ["clustering" if name == "clusteredTable" else name for name in names]
        verb = "read" if table_features.unread(table_features.DELTA_RS, names) else "write to"
        return table_features.refused(table_features.DELTA_RS, table, names, verb)
    if "on column-mapped tables is not yet supported" in text:
        return FeatureUnsupported(
            f"{table.name} uses columnMapping, under which {table_features.DELTA_RS} cannot change the columns; "
            "keep them, or use the spark engine (MODELLEDGER_ENGINE=spark).",
            table=table.name,
            features=["columnMapping"],
        )
    if "Delta table is append-only" in text:
        return AppendOnly(
            f"{table.name} only takes rows more (delta.appendOnly); nothing was written. Append to it.",
            table=table.name,
        )
    if broken := re.search(r"(\d+) rows failed validation check", text):
        return SchemaMismatch(
            f"{table.name}: {broken[1]} row(s) break a rule of the table: NOT NULL, a CHECK constraint or the "
            "expression of a generated column. Nothing was written; change the data.",
            table=table.name,
        )
    return None
