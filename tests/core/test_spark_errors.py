"""Spark's errors in our words, from their texts alone: conditions, a lost session, a cancelled job, a task's fault."""

from __future__ import annotations

import pytest

from core.delta.spark.errors import condition_of, root_cause, translate
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

LOANS = Table(name="loans", uri="/lake/loans")
TAG = f"modelledger-{'0123456789abcdef' * 2}"
STAGE = "Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 times, most recent failure: Lost task 0.3"
TASK = f"{STAGE} in stage 3.0 (TID 6) (10.0.0.7 executor 1): "


def spark(condition: str | None, message: str) -> Exception:
    """An error as pyspark hands it over, with its condition."""
    errors = pytest.importorskip("pyspark.errors")
    return errors.PySparkException(message=message, errorClass=condition)


class FromJava(Exception):
    """An error as py4j hands it over: Java's text, no condition."""

    java_exception = object()

    def __init__(self, text: str) -> None:
        super().__init__(f"An error occurred while calling o117.collectToPython.\n: {text}")


@pytest.mark.parametrize(
    ("condition", "means", "says"),
    [
        ("DELTA_TABLE_NOT_FOUND", TableNotFound, "There is no Delta table at loans"),
        ("DELTA_PATH_DOES_NOT_EXIST", TableNotFound, "check its address"),
        ("TABLE_OR_VIEW_NOT_FOUND", TableNotFound, "check its address"),
        ("DELTA_VERSION_NOT_FOUND", VersionNotFound, "loans has versions 0–2"),
        ("DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION", TimeTravelRefused, "embedded engine"),
        ("DELTA_UNSUPPORTED_FEATURES_FOR_READ", FeatureUnsupported, "loans uses table features"),
        ("DELTA_CONCURRENT_APPEND", CommitConflict, "another writer committed first"),
        ("DELTA_CONCURRENT_TRANSACTION", CommitConflict, "nothing was written"),
        ("DELTA_CANNOT_MODIFY_APPEND_ONLY", AppendOnly, "is append-only"),
        ("DELTA_FAILED_TO_MERGE_FIELDS", SchemaMismatch, "loans: "),
        ("DELTA_NOT_NULL_CONSTRAINT_VIOLATED", SchemaMismatch, "loans: "),
        ("UNRESOLVED_COLUMN", ColumnNotFound, "loans: "),
        ("DELTA_TRUNCATED_TRANSACTION_LOG", LogExpired, "loans: "),
        ("DELTA_STATE_RECOVER_ERROR", LogCorrupt, "loans: "),
        ("DELTA_FILE_NOT_FOUND", FilesVacuumed, "loans: "),
        ("OPERATION_CANCELED", JobCancelled, "The Spark job was cancelled; nothing was written."),
        ("INVALID_HANDLE.SESSION_CHANGED", EngineUnavailable, "The Spark session was lost"),
        ("SESSION_CLOSED", EngineUnavailable, "The Spark session was lost"),
        ("INTERNAL_ERROR", EngineFailed, "loans: Spark failed: [INTERNAL_ERROR] what Spark said"),
    ],
)
def test_condition_is_told_as_the_fact_it_names(condition: str, means: type[CoreError], says: str) -> None:
    found = translate(spark(condition, "what Spark said"), LOANS, versions=lambda: "0–2")
    assert type(found) is means
    assert says in str(found)


def test_job_that_was_cancelled_by_its_own_group_is_cancelled() -> None:
    text = f"org.apache.spark.SparkException: [SPARK_JOB_CANCELLED] Job 3 cancelled part of cancelled job group {TAG} X"
    assert type(translate(FromJava(text), LOANS)) is JobCancelled
    wrapped = f"[TASK_WRITE_FAILED] writing failed\nCaused by: {text}"
    assert type(translate(FromJava(wrapped), LOANS)) is JobCancelled


@pytest.mark.parametrize(
    "text",
    [
        "[SPARK_JOB_CANCELLED] Job 3 cancelled because Stage 2 was cancelled SQLSTATE: XXKDA",
        "[SPARK_JOB_CANCELLED] Job 3 cancelled part of cancelled job group somebody-else",
        f"{STAGE}: [CAST_INVALID_INPUT] The value 'cancelled' of the type STRING cannot be cast to BIGINT",
        f"{TASK}java.lang.IllegalStateException: /lake/cancelled/{TAG}/part-0 is not readable",
        "Job aborted due to stage failure: Task 1 in stage 0.0 was cancelled: its group has no slots",
    ],
)
def test_failure_that_speaks_of_cancelling_is_a_failure(text: str) -> None:
    assert type(translate(FromJava(f"org.apache.spark.SparkException: {text}"), LOANS)) is EngineFailed
    assert type(translate(spark(None, text), LOANS)) is EngineFailed


def test_job_cancelled_because_the_driver_ends_is_a_lost_session() -> None:
    text = (
        "org.apache.spark.SparkException: Job 7 cancelled because SparkContext was shut down\n\tat org.apache.spark.X"
    )
    found = translate(FromJava(text), LOANS)
    assert type(found) is EngineUnavailable
    assert "try again" in str(found)


def test_lost_file_at_an_address_that_holds_the_word_cancelled_is_a_lost_file() -> None:
    text = f"{TASK}[FAILED_READ_FILE.FILE_NOT_EXIST] File file:/lake/cancelled/part-0.parquet does not exist, stage 3"
    assert type(translate(FromJava(text), LOANS)) is FilesVacuumed


def test_function_that_raises_in_a_task_is_told_by_its_own_error() -> None:
    """The text is Spark 4.2's own for a user's function that raises."""
    error = spark(
        "PYTHON_EXCEPTION",
        "An exception was thrown from the Python worker:\nTraceback (most recent call last):\n"
        '  File "/home/zoe/score.py", line 44, in predict\n'
        "    def g(x): raise ValueError(\"state is 'cancelled' at stage 3\")\n"
        "ValueError: state is 'cancelled' at stage 3\n",
    )
    found = translate(error, LOANS)
    assert type(found) is EngineFailed
    assert str(found) == "loans: Spark failed: ValueError: state is 'cancelled' at stage 3"


def test_rule_that_a_row_breaks_is_found_inside_the_job_that_it_ended() -> None:
    text = f"{TASK}[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint positive (amount > 0) violated"
    assert type(translate(FromJava(f"org.apache.spark.SparkException: {text}"), LOANS)) is SchemaMismatch


@pytest.mark.parametrize(
    "text",
    [
        'org.apache.hadoop.fs.UnsupportedFileSystemException: No FileSystem for scheme "s3"',
        "java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found",
    ],
)
def test_store_that_spark_has_no_client_for_is_told_with_what_to_add(text: str) -> None:
    found = translate(FromJava(text), LOANS)
    assert type(found) is StorageUnavailable
    assert "loans: Spark has no client for s3:// addresses. Name its package" in str(found)


def test_root_cause_is_where_javas_chain_began() -> None:
    text = (
        "org.apache.spark.SparkException: Job aborted.\n\tat a.b\nCaused by: java.io.IOException: middle\n\tat c.d\n"
        "Caused by: java.nio.file.AccessDeniedException: /lake/loans\n\tat e.f"
    )
    assert root_cause(FromJava(text)) == "AccessDeniedException: /lake/loans"


def test_root_cause_of_a_task_is_without_the_stage_around_it() -> None:
    assert root_cause(FromJava(f"{TASK}java.lang.ArithmeticException: / by zero\n\tat x")) == (
        "ArithmeticException: / by zero"
    )


def test_condition_is_without_its_sub_condition() -> None:
    assert condition_of(spark("UNRESOLVED_COLUMN.WITH_SUGGESTION", "x")) == "UNRESOLVED_COLUMN"
    assert condition_of(spark(None, "[DELTA_CONCURRENT_APPEND.WITH_HINT] x")) == "DELTA_CONCURRENT_APPEND"
    assert condition_of(ValueError("no condition")) == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("requires support for reader features: typeWidening-preview, madeUp", "typeWidening-preview, madeUp"),
        (
            "Unsupported features: . Upgrade the reader.",
            "[DELTA_UNSUPPORTED_FEATURES_FOR_READ] Unsupported features: .",
        ),
    ],
)
def test_features_that_spark_refuses_are_named_or_its_message_is_shown(text: str, named: str) -> None:
    error = translate(spark("DELTA_UNSUPPORTED_FEATURES_FOR_READ", text), LOANS)
    assert f"loans uses table features that this engine does not support: {named}" in str(error)
