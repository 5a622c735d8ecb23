"""Spark's and py4j's errors in our words: which fact each names, and the root cause in one line."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

from core.delta.spark import session
from core.entities import Table
from core.errors import (
    AppendOnly,
    ColumnNotFound,
    CommitConflict,
    CoreError,
    EngineFailed,
    EngineUnavailable,
    FeatureUnsupported,
    FilesVacuumed,
    JobCancelled,
    LogCorrupt,
    LogExpired,
    SchemaMismatch,
    StorageUnavailable,
    TableNotFound,
    TimeTravelRefused,
    VersionNotFound,
)

# Spark's error conditions (without their sub-condition) and what they mean to us.
_MEANS: dict[type[CoreError], frozenset[str]] = {
    TableNotFound: frozenset(
        {
            "DELTA_TABLE_NOT_FOUND",
            "DELTA_PATH_DOES_NOT_EXIST",
            "DELTA_MISSING_DELTA_TABLE",
            "DELTA_TABLE_ONLY_OPERATION",
            "DELTA_ONLY_OPERATION",
            "DELTA_NOT_A_DELTA_TABLE",
            "PATH_NOT_FOUND",
            "TABLE_OR_VIEW_NOT_FOUND",
            "SCHEMA_NOT_FOUND",
            "CATALOG_NOT_FOUND",
        }
    ),
    VersionNotFound: frozenset({"DELTA_VERSION_NOT_FOUND", "DELTA_CANNOT_FIND_VERSION", "DELTA_VERSION_INVALID"}),
    TimeTravelRefused: frozenset({"DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION"}),
    FeatureUnsupported: frozenset(
        {
            "DELTA_UNSUPPORTED_FEATURES_FOR_READ",
            "DELTA_UNSUPPORTED_FEATURES_FOR_WRITE",
            "DELTA_UNSUPPORTED_FEATURES_IN_CONFIG",
            "DELTA_INVALID_PROTOCOL_VERSION",
            "DELTA_FEATURES_REQUIRE_MANUAL_ENABLEMENT",
            "DELTA_UNIVERSAL_FORMAT_VIOLATION",
        }
    ),
    CommitConflict: frozenset(
        {
            "DELTA_CONCURRENT_APPEND",
            "DELTA_CONCURRENT_DELETE_DELETE",
            "DELTA_CONCURRENT_DELETE_READ",
            "DELTA_CONCURRENT_TRANSACTION",
            "DELTA_CONCURRENT_WRITE",
            "DELTA_METADATA_CHANGED",
            "DELTA_PROTOCOL_CHANGED",
            "DELTA_MAX_COMMIT_RETRIES_EXCEEDED",
            "DELTA_PATH_EXISTS",
            "DELTA_TABLE_ALREADY_EXISTS",
        }
    ),
    AppendOnly: frozenset({"DELTA_CANNOT_MODIFY_APPEND_ONLY"}),
    SchemaMismatch: frozenset(
        {
            "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
            "DELTA_FAILED_TO_MERGE_FIELDS",
            "DELTA_METADATA_MISMATCH",
            "DELTA_SCHEMA_NOT_CONSISTENT_WITH_TARGET",
            "DELTA_INSERT_COLUMN_ARITY_MISMATCH",
            "DELTA_INSERT_COLUMN_MISMATCH",
            "DELTA_MISSING_COLUMN",
            "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE",
            "DELTA_NOT_NULL_CONSTRAINT_VIOLATED",
            "DELTA_MISSING_NOT_NULL_COLUMN_VALUE",
            "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES",
            "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES",
            "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAME",
            "DELTA_DUPLICATE_COLUMNS_FOUND",
            "DELTA_MERGE_INCOMPATIBLE_DATATYPE",
            "UNSUPPORTED_DATA_TYPE_FOR_ARROW_CONVERSION",
            "UNSUPPORTED_DATATYPE",
            "_LEGACY_ERROR_TEMP_DELTA_0007",
        }
    ),
    ColumnNotFound: frozenset({"UNRESOLVED_COLUMN", "DELTA_COLUMN_NOT_FOUND", "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"}),
    LogExpired: frozenset({"DELTA_TRUNCATED_TRANSACTION_LOG", "DELTA_NO_RECREATABLE_HISTORY_FOUND"}),
    LogCorrupt: frozenset(
        {
            "DELTA_STATE_RECOVER_ERROR",
            "DELTA_LOG_FILE_NOT_FOUND",
            "DELTA_MISSING_PART_FILES",
            "DELTA_TXN_LOG_FAILED_INTEGRITY",
            "DELTA_VERSIONS_NOT_CONTIGUOUS",
            "DELTA_NO_COMMITS_FOUND",
            "DELTA_SCHEMA_NOT_SET",
            "DELTA_METADATA_ABSENT",
        }
    ),
    FilesVacuumed: frozenset({"DELTA_FILE_NOT_FOUND", "DELTA_FILE_OR_DIR_NOT_FOUND", "FAILED_READ_FILE"}),
    JobCancelled: frozenset({"OPERATION_CANCELED"}),
    EngineUnavailable: frozenset({"INVALID_HANDLE", "SESSION_CLOSED", "NO_ACTIVE_SESSION", "SPARK_CONTEXT_STOPPED"}),
}
_BY_CONDITION = {condition: error for error, conditions in _MEANS.items() for condition in conditions}

# Jobs that we cancelled ourselves (core.delta.spark.jobs): the group is ours by name; over Connect the server names the
# operation's own tag. Every other cancelled job (a stage killed in Spark's UI) is a failure.
_CANCELLED_BY_US = re.compile(
    r"\[SPARK_JOB_CANCELLED\] Job \d+ cancelled part of cancelled job \w+ \W?(?:modelledger-[0-9a-f]{32}|SparkConnect_)"
)
# What Spark says when its driver has ended.
_STOPPED = (
    "stopped SparkContext",
    "SparkContext was shut down",
    "SparkContext has been shutdown",
    "because SparkContext",
    "All masters are unresponsive",
)
# What py4j and gRPC say when nobody answers. A task says such things too, of an object store for example: these count
# only where the error is none that Java handed over.
_SILENT = (
    "Connection refused",
    "Connection reset",
    "Answer from Java side is empty",
    "does not exist in the JVM",
    "Error while sending or receiving",
    "An error occurred while trying to connect to the Java server",
)
_NO_SERVER = ("StatusCode.UNAVAILABLE", "INVALID_HANDLE.SESSION", "RETRIES_EXCEEDED")
_GONE = "the Java process is gone"
# An error without anything about it is py4j's own: no whole answer came.
_NO_ANSWER = re.compile(r"An error occurred while calling \S+\s*")
_PY4J = re.compile(r"^An error occurred while calling \S+\.(?: Trace:)?\n(?:: )?")
_EXECUTOR = re.compile(r"\((?:\S+ )?executor [^)]*\):\s*")
_CLASS = re.compile(r"^(?:[a-z_$][\w$]*\.)+(\w+(?:Exception|Error)?)(?::\s*|$)")
_CONDITION = re.compile(r"\[([A-Z0-9_]+)(?:\.[A-Z0-9_]+)*\]")
_NO_CLIENT = re.compile(
    r"No FileSystem for scheme[: ]+\"?(\w+)|Class org\.apache\.hadoop\.fs\.s3a\.S3AFileSystem not found"
)
_FEATURES = re.compile(r"features?[^:]*:\s*(?P<names>[\w, ]+)", re.IGNORECASE)


@contextlib.contextmanager
def translated(table: Table | None = None, *, versions: Callable[[], str] | None = None) -> Iterator[None]:
    """Raises Spark's, py4j's and gRPC's errors as CoreErrors. *versions* tells which ones there are, if asked."""
    try:
        yield
    except CoreError:
        raise
    except Exception as error:
        if not _is_from_spark(error):
            raise
        raise translate(error, table, versions=versions) from error


def translate(error: Exception, table: Table | None = None, *, versions: Callable[[], str] | None = None) -> CoreError:
    """The CoreError that *error* stands for. A session that was lost is dropped, so that the next use opens one."""
    name = table.name if table is not None else "Spark"
    text, condition = text_of(error), condition_of(error)
    cause = root_cause(error)
    if _NO_ANSWER.fullmatch(text):
        text = cause = _GONE
    if _is_lost(error, text) or _BY_CONDITION.get(condition) is EngineUnavailable:
        session.close(is_lost=True)
        return EngineUnavailable(
            f"The Spark session was lost ({cause}). Nothing half-written remains; try again: a new session is "
            "opened. If it is lost again, give it more memory or look at the cluster."
        )
    if _BY_CONDITION.get(condition) is JobCancelled or _CANCELLED_BY_US.search(text):
        return JobCancelled("The Spark job was cancelled; nothing was written.")
    if _is_missing_file(text):
        return FilesVacuumed(f"{name}: data files of this version are gone ({cause}).", table=name)
    if (scheme := _NO_CLIENT.search(text)) is not None:
        return StorageUnavailable(
            f"{name}: Spark has no client for {scheme[1] or 's3'}:// addresses; name its package (for S3 "
            "org.apache.hadoop:hadoop-aws in the version of pyspark's own Hadoop jars) as spark.jars.packages in "
            "MODELLEDGER_SPARK_CONF, or put its jars into the folder of MODELLEDGER_SPARK_JARS.",
            table=name,
        )
    kind = _BY_CONDITION.get(condition)
    if kind is None:
        # A task's own fault stands in the text of the job that it ended: a rule of the table that a row breaks.
        inner = [found for found in _CONDITION.findall(text) if found.startswith("DELTA_") and found in _BY_CONDITION]
        condition = inner[-1] if inner else condition
        kind = _BY_CONDITION.get(condition)
    if kind is FilesVacuumed and condition == "FAILED_READ_FILE":
        kind = None
    if kind is None:
        return EngineFailed(f"{name}: Spark failed: {cause}", table=name, condition=condition)
    return kind(_say(kind, name, cause, text, versions), table=name, condition=condition)


def _say(kind: type[CoreError], name: str, cause: str, text: str, versions: Callable[[], str] | None) -> str:
    if kind is TableNotFound:
        return f"There is no Delta table at {name}; check its address. ({cause})"
    if kind is VersionNotFound and versions is not None:
        return f"{name} has versions {versions()}; another was asked for. Pick one from its history."
    if kind is TimeTravelRefused:
        return (
            f"{name}: Delta Spark refuses this version: it is older than the table's "
            "delta.deletedFileRetentionDuration, although its files may still be there. "
            "Read it with the embedded engine, or raise that table property."
        )
    if kind is FeatureUnsupported:
        found = _FEATURES.search(text)
        names = found["names"].strip() if found else cause
        return f"{name} uses table features that this engine does not read or write: {names}."
    if kind is AppendOnly:
        return f"{name} only takes rows more (delta.appendOnly); nothing was written. Append to it."
    if kind is CommitConflict:
        return f"{name}: another writer committed first, nothing was written; look at it again and retry. ({cause})"
    return f"{name}: {cause}"


def root_cause(error: BaseException) -> str:
    """Spark's root cause in one line: the task's own error, without the stages and stack around it."""
    text = _PY4J.sub("", text_of(error))
    task = _EXECUTOR.split(text)[-1] if _EXECUTOR.search(text) else text
    python = _python_error(task)
    if python is not None:
        return python
    # Java's own chain: the last "Caused by:" of the stack is where it began.
    causes = re.findall(r"^Caused by: (.+)$", text, flags=re.MULTILINE)
    head = next((line.strip() for line in task.splitlines() if line.strip()), type(error).__name__)
    wrapped = any(word in head for word in ("Job aborted", "TASK_WRITE_FAILED", "FAILED_READ_FILE", "SparkException"))
    line = causes[-1].strip() if causes and wrapped else head
    line = re.sub(r"\s*SQLSTATE: \w+\s*$", "", _CLASS.sub(r"\1: ", line)).strip()
    return line if len(line) <= 400 else line[:399] + "…"


def _python_error(text: str) -> str | None:
    """The last line of a Python worker's traceback, which Spark quotes inside its own error."""
    if "Traceback (most recent call last)" not in text:
        return None
    quoted = text.split("Traceback (most recent call last)")[-1]
    for line in quoted.splitlines()[1:]:
        if line and not line.startswith((" ", "\t")) and not line.startswith("\tat "):
            return line.strip().rstrip("'")
    return None


def condition_of(error: BaseException) -> str:
    """Spark's error condition without its sub-condition, or an empty string."""
    get = getattr(error, "getCondition", None)
    if get is None:
        return ""
    try:
        condition = get()
    except Exception:  # noqa: BLE001 - asked of the JVM: where that is gone, the text has to do
        condition = None
    if not condition:
        found = _CONDITION.match(text_of(error))
        condition = found[1] if found else ""
    return str(condition).split(".")[0]


def text_of(error: BaseException) -> str:
    """The error's whole text; asking for it goes to the JVM, which may be gone."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - anything may come of asking a JVM that is gone
        return getattr(error, "_desc", "") or _GONE


def _is_lost(error: BaseException, text: str) -> bool:
    """Whether the session's driver or server is gone, rather than something that a task asked."""
    from pyspark.errors import PySparkException

    signs = [*_STOPPED, _GONE]
    if isinstance(error, PySparkException) or type(error).__module__.startswith("grpc"):
        signs += _NO_SERVER
    elif not hasattr(error, "java_exception"):
        signs += _SILENT
    return any(sign in text for sign in signs)


def _is_missing_file(text: str) -> bool:
    return "FILE_NOT_EXIST" in text or (
        "FileNotFoundException" in text and ".parquet" in text and "_delta_log" not in text
    )


def _is_from_spark(error: Exception) -> bool:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    if isinstance(error, (PySparkException, Py4JError, ConnectionError)):
        return True
    # grpc is there only with Spark Connect; EOFError and OSError are how a dead JVM shows itself to py4j.
    return type(error).__module__.startswith(("grpc", "py4j", "pyspark")) or isinstance(error, EOFError)
