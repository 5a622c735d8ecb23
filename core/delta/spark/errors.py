"""Translate errors of Spark and py4j to ModelLedger's errors, with the root cause in one line."""

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

# Spark's error conditions, without their sub-conditions, by the error that they mean.
_CONDITIONS: dict[type[CoreError], frozenset[str]] = {
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
_BY_CONDITION = {condition: error for error, conditions in _CONDITIONS.items() for condition in conditions}

# Jobs that core.delta.spark.jobs cancelled have a job group with ModelLedger's prefix, or over Connect the tag of their
# operation. Every other cancelled job (a stage killed in Spark's UI) is a failure.
_CANCELLED_BY_MODELLEDGER = re.compile(
    r"\[SPARK_JOB_CANCELLED\] Job \d+ cancelled part of cancelled job \w+ \W?(?:modelledger-[0-9a-f]{32}|SparkConnect_)"
)
# Parts of Spark's messages after its driver has ended.
_STOPPED = (
    "stopped SparkContext",
    "SparkContext was shut down",
    "SparkContext has been shutdown",
    "because SparkContext",
    "All masters are unresponsive",
)
# Parts of the messages of py4j and gRPC when nothing answers. A task can have the same messages, for example about an
# object store: they count only if the error does not come from Java.
_NO_CONNECTION = (
    "Connection refused",
    "Connection reset",
    "Answer from Java side is empty",
    "does not exist in the JVM",
    "Error while sending or receiving",
    "An error occurred while trying to connect to the Java server",
)
_NO_SERVER = ("StatusCode.UNAVAILABLE", "INVALID_HANDLE.SESSION", "RETRIES_EXCEEDED")
_NO_JAVA = "the Java process is gone"
# An error without any detail is py4j's own: the answer was incomplete.
_NO_ANSWER = re.compile(r"An error occurred while calling \S+\s*")
_PY4J = re.compile(r"^An error occurred while calling \S+\.(?: Trace:)?\n(?:: )?")
_EXECUTOR = re.compile(r"\((?:\S+ )?executor [^)]*\):\s*")
_CLASS = re.compile(r"^(?:[a-z_$][\w$]*\.)+(\w+(?:Exception|Error)?)(?::\s*|$)")
_CONDITION = re.compile(r"\[([A-Z0-9_]+)(?:\.[A-Z0-9_]+)*\]")
_NO_CLIENT = re.compile(
    r"No FileSystem for scheme[: ]+\"?(\w+)|Class org\.apache\.hadoop\.fs\.s3a\.S3AFileSystem not found"
)
_FEATURES = re.compile(r"features?[^:]*:\s*(?P<names>\w[\w, -]*)", re.IGNORECASE)


@contextlib.contextmanager
def translated(table: Table | None = None, *, versions: Callable[[], str] | None = None) -> Iterator[None]:
    """Raise errors of Spark, py4j and gRPC as CoreErrors. *versions* returns the table's versions for the message."""
    try:
        yield
    except CoreError:
        raise
    except Exception as error:
        if not _is_from_spark(error):
            raise
        raise translate(error, table, versions=versions) from error


def translate(error: Exception, table: Table | None = None, *, versions: Callable[[], str] | None = None) -> CoreError:
    """Return the CoreError for *error*. A lost session is closed, so that the next use opens a new one."""
    name = table.name if table is not None else "Spark"
    message, condition = message_of(error), condition_of(error)
    cause = root_cause(error)
    if _NO_ANSWER.fullmatch(message):
        message = cause = _NO_JAVA
    if _is_lost(error, message) or _BY_CONDITION.get(condition) is EngineUnavailable:
        session.close(is_lost=True)
        return EngineUnavailable(
            "The Spark session was lost ({cause}). No incomplete data remains; try again, which opens a new session. "
            "If the session is lost again, give it more memory or check the cluster.",
            cause=cause,
        )
    if _BY_CONDITION.get(condition) is JobCancelled or _CANCELLED_BY_MODELLEDGER.search(message):
        return JobCancelled("The Spark job was cancelled; nothing was written.")
    if _is_missing_file(message):
        return FilesVacuumed("{table}: data files of this version are missing ({cause}).", table=name, cause=cause)
    if (scheme := _NO_CLIENT.search(message)) is not None:
        return StorageUnavailable(
            "{table}: Spark has no client for {scheme}:// addresses. Name its package (for S3 "
            "org.apache.hadoop:hadoop-aws in the version of pyspark's own Hadoop jars) as spark.jars.packages in "
            "MODELLEDGER_SPARK_CONF, or put its jars into the folder of MODELLEDGER_SPARK_JARS.",
            table=name,
            scheme=scheme[1] or "s3",
        )
    kind = _BY_CONDITION.get(condition)
    if kind is None:
        # The error of a task is in the message of its job: for example a row breaks a rule of the table.
        conditions = _CONDITION.findall(message)
        inner = [inner for inner in conditions if inner.startswith("DELTA_") and inner in _BY_CONDITION]
        condition = inner[-1] if inner else condition
        kind = _BY_CONDITION.get(condition)
    if kind is FilesVacuumed and condition == "FAILED_READ_FILE":
        kind = None
    if kind is None:
        return EngineFailed("{table}: Spark failed: {cause}", table=name, cause=cause, condition=condition)
    return _error(kind, name, cause, message, condition, versions)


def _error(
    kind: type[CoreError], name: str, cause: str, message: str, condition: str, versions: Callable[[], str] | None
) -> CoreError:
    if kind is TableNotFound:
        return TableNotFound(
            "There is no Delta table at {table}; check its address. ({cause})",
            table=name,
            cause=cause,
            condition=condition,
        )
    if kind is VersionNotFound and versions is not None:
        return VersionNotFound(
            "{table} has versions {versions}; another version was requested. Pick one from its history.",
            table=name,
            versions=versions(),
            condition=condition,
        )
    if kind is TimeTravelRefused:
        return TimeTravelRefused(
            "{table}: Delta Spark refuses this version, because it is older than the table's "
            "delta.deletedFileRetentionDuration, although its files may still exist. Read it with the embedded engine, "
            "or raise that table property.",
            table=name,
            condition=condition,
        )
    if kind is FeatureUnsupported:
        features = _FEATURES.search(message)
        return FeatureUnsupported(
            "{table} uses table features that this engine does not support: {features}.",
            table=name,
            features=features["names"].strip() if features else cause,
            condition=condition,
        )
    if kind is AppendOnly:
        return AppendOnly(
            "{table} is append-only (delta.appendOnly); nothing was written. Append the rows instead.",
            table=name,
            condition=condition,
        )
    if kind is CommitConflict:
        return CommitConflict(
            "{table}: another writer committed first; nothing was written. Check the table and try again. ({cause})",
            table=name,
            cause=cause,
            condition=condition,
        )
    return kind("{table}: {cause}", table=name, cause=cause, condition=condition)


def root_cause(error: BaseException) -> str:
    """Return Spark's root cause in one line: the error of the task, without stages and stack trace."""
    message = _PY4J.sub("", message_of(error))
    task = _EXECUTOR.split(message)[-1] if _EXECUTOR.search(message) else message
    python = _python_error(task)
    if python is not None:
        return python
    # The last "Caused by:" of a Java stack trace is the root cause.
    causes = re.findall(r"^Caused by: (.+)$", message, flags=re.MULTILINE)
    first = next((line.strip() for line in task.splitlines() if line.strip()), type(error).__name__)
    is_wrapper = any(
        word in first for word in ("Job aborted", "TASK_WRITE_FAILED", "FAILED_READ_FILE", "SparkException")
    )
    line = causes[-1].strip() if causes and is_wrapper else first
    line = re.sub(r"\s*SQLSTATE: \w+\s*$", "", _CLASS.sub(r"\1: ", line)).strip()
    return line if len(line) <= 400 else line[:399] + "…"


def _python_error(message: str) -> str | None:
    """Return the last line of a Python worker's traceback, which Spark includes in its own message."""
    if "Traceback (most recent call last)" not in message:
        return None
    traceback = message.split("Traceback (most recent call last)")[-1]
    for line in traceback.splitlines()[1:]:
        if line and not line.startswith((" ", "\t")) and not line.startswith("\tat "):
            return line.strip().rstrip("'")
    return None


def condition_of(error: BaseException) -> str:
    """Return Spark's error condition without its sub-condition, or an empty string."""
    get = getattr(error, "getCondition", None)
    if get is None:
        return ""
    try:
        condition = get()
    except Exception:  # noqa: BLE001 - the call goes to the JVM, which may be gone
        condition = None
    if not condition:
        match = _CONDITION.match(message_of(error))
        condition = match[1] if match else ""
    return str(condition).split(".")[0]


def message_of(error: BaseException) -> str:
    """Return the error's whole message. The call goes to the JVM, which may be gone."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a call to a JVM that is gone can raise anything
        return getattr(error, "_desc", "") or _NO_JAVA


def _is_lost(error: BaseException, message: str) -> bool:
    """Return whether the session's driver or server is gone, and not a service that a task called."""
    from pyspark.errors import PySparkException

    signs = [*_STOPPED, _NO_JAVA]
    if isinstance(error, PySparkException) or type(error).__module__.startswith("grpc"):
        signs += _NO_SERVER
    elif not hasattr(error, "java_exception"):
        signs += _NO_CONNECTION
    return any(sign in message for sign in signs)


def _is_missing_file(message: str) -> bool:
    return "FILE_NOT_EXIST" in message or (
        "FileNotFoundException" in message and ".parquet" in message and "_delta_log" not in message
    )


def _is_from_spark(error: Exception) -> bool:
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark.errors import PySparkException

    if isinstance(error, (PySparkException, Py4JError, ConnectionError)):
        return True
    # grpc is installed only with Spark Connect. py4j raises EOFError when the JVM has ended.
    return type(error).__module__.startswith(("grpc", "py4j", "pyspark")) or isinstance(error, EOFError)
