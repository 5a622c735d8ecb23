"""Head to head: two model versions score the same pinned rows, and their KPIs are compared with intervals."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from core.access.permissions import Action
from core.delta.table_features import SPARK
from core.entities import Actor, Event, Job, ModelVersionKey, Outcome, Table, TableVersion
from core.errors import BadParameter, ColumnNotFound
from core.features.head_to_head import judged_rows
from core.features.head_to_head.judged_rows import (
    Side,
    open_side,
    require_same_kind,
    target_column,
    unseen_rows,
)
from core.features.head_to_head.result import Compared, HeadToHead, serialize
from core.features.stores import Stores
from core.jobs.progress import Progress, Silent
from core.learning.artifact_files import folder_sha256
from core.learning.comparison.answers import align_classes, is_classification, predict_rows
from core.learning.comparison.compare_models import Comparison, compare_classifiers, compare_regressions
from core.learning.comparison.slices import SLICE_RESAMPLES, compare_slices
from core.learning.frames import target_values
from core.learning.safety.inspect_model import SPARK_ML
from core.texts import text

_MOST_SLICED = 12


def submit_head_to_head(
    stores: Stores,
    actor: Actor,
    first: ModelVersionKey,
    second: ModelVersionKey,
    *,
    table: str,
    version: int | None = None,
    target: str = "",
    slices: Sequence[str] | None = None,
    reason: str = "",
) -> Job:
    """Submit a comparison as a job for a worker. The data version is pinned now.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, BadParameter, Forbidden
    """
    stores.audit.require(actor, Action.MODEL_COMPARE, str(second))
    _check(first, second)
    for key in (first, second):
        stores.models.version(key)
    source, data = stores.pin(table, version)
    stores.engine.snapshot(source, version=data.version)
    arguments = {
        "model": second.model,
        "model_version": second.version,
        "against": first.model,
        "against_version": first.version,
        "table": data.table,
        "version": data.version,
        "target": target,
        "slices": None if slices is None else list(slices),
        "reason": reason,
    }
    return stores.jobs.submit("head-to-head", arguments, actor)


def head_to_head(
    stores: Stores,
    actor: Actor,
    first: ModelVersionKey,
    second: ModelVersionKey,
    *,
    table: str,
    version: int | None = None,
    target: str = "",
    slices: Sequence[str] | None = None,
    reason: str = "",
    progress: Progress | None = None,
) -> HeadToHead:
    """Let both versions predict the same rows of a data version (default: the latest), and compare their KPIs.

    Rows on which one of both was trained are left out, as far as they are known. *target* is the column with the true
    values (default: the parameter `target` of a run). *slices* are the columns by which the rows are also compared in
    parts (default: the first twelve that both know). Each model predicts in a process of its own; nothing is changed,
    and the audit log keeps the result.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, DataUnreadable, ColumnNotFound
        BadParameter: both are the same version, no target is known, or too few rows are left.
        SchemaMismatch: the data does not fit a model, or a model predicts other values than the target has.
        ModelUnloadable: a model is not safe to load.
        RegistryUnavailable, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.MODEL_COMPARE, str(second), reason=reason) as record:
        watch.remember(operation=record.operation)
        _check(first, second)
        source, data = stores.pin(table, version)
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
            sides = [
                open_side(stores, key, Path(folder, place)) for key, place in ((first, "first"), (second, "second"))
            ]
            watch.checkpoint()
            watch.report(0.1, text("reading {data}", data=data))
            rows = stores.engine.snapshot(source, version=data.version)
            names = [column.name for column in rows.schema]
            column, sliced = target_column(names, data, sides, target), _sliced(names, sides, slices)
            if _is_for_spark(stores, sides, rows.rows):
                # pyspark is an extra, and only its engine needs it.
                from core.features.head_to_head.compare_on_spark import compare_on_spark

                compared = compare_on_spark(stores, source, data, sides, column, sliced, Path(folder), watch)
            else:
                compared = _compare(stores, source, data, sides, column, sliced, watch)
            artifacts = {str(side.key): folder_sha256(side.folder) for side in sides}
        outcome = HeadToHead(
            first=first,
            second=second,
            data=data,
            target=column,
            left_out=compared.left_out,
            comparison=compared.comparison,
            slices=compared.slices,
            notes=compared.notes,
            artifacts=artifacts,
        )
        record.after = serialize(outcome)
        watch.report(1.0, text("compared on {rows} rows", rows=compared.comparison.rows))
    return outcome


def past_comparisons(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[Event, ...]:
    """Return the comparisons of *key* with others, newest first; their `after` is the result of `serialize`."""
    stores.audit.require(actor, Action.MODEL_READ)
    return comparisons_of(stores, key)


def comparisons_of(stores: Stores, key: ModelVersionKey) -> tuple[Event, ...]:
    """Return the newest 100 comparisons of *key*, for services that have checked the permission."""
    return stores.audit.search(
        action=Action.MODEL_COMPARE.value, subject=str(key), outcome=Outcome.SUCCESS.value, limit=100
    )


def _check(first: ModelVersionKey, second: ModelVersionKey) -> None:
    if first == second:
        raise BadParameter("Both are {model}. Name two versions.", model=str(first))


def _is_for_spark(stores: Stores, sides: Sequence[Side], rows: int | None) -> bool:
    """Return whether Spark compares: for many rows, and for models that only Spark can load."""
    is_large = rows is None or rows > judged_rows.MOST_READ
    return stores.engine.name == SPARK and (is_large or any(side.info.format == SPARK_ML for side in sides))


def _compare(
    stores: Stores,
    source: Table,
    data: TableVersion,
    sides: list[Side],
    column: str,
    sliced: tuple[str, ...],
    watch: Progress,
) -> Compared:
    rows, left_out, notes = unseen_rows(stores, stores.engine.read(source, version=data.version), data, sides, column)
    watch.report(0.2, text("scoring {rows} rows", rows=rows.num_rows))
    actual = target_values(rows, column)
    answers = []
    for number, side in enumerate(sides, start=1):
        answers.append(predict_rows(side.folder, rows))
        require_same_kind(side, answers[-1], actual, column)
        watch.checkpoint()
        watch.report(0.2 + 0.3 * number, text("{model} predicted {rows} rows", model=side.key, rows=rows.num_rows))
    first, second = align_classes(*answers)
    is_classifier = is_classification(actual, first)

    def compare(mask: np.ndarray) -> Comparison:
        parts = (actual[mask], first.of(mask), second.of(mask))
        if is_classifier:
            return compare_classifiers(*parts, resamples=SLICE_RESAMPLES)
        return compare_regressions(*parts, resamples=SLICE_RESAMPLES)

    whole = compare_classifiers(actual, first, second) if is_classifier else compare_regressions(actual, first, second)
    watch.report(0.85, text("comparing slices"))
    slices = compare_slices(rows, sliced, compare)
    return Compared(comparison=whole, slices=slices, left_out=left_out, notes=notes)


def _sliced(columns: Sequence[str], sides: list[Side], slices: Sequence[str] | None) -> tuple[str, ...]:
    """Return the columns to slice by: the chosen ones, or the first that both models read."""
    if slices is None:
        inputs = [{column.name for column in side.info.inputs} for side in sides]
        return tuple(name for name in columns if all(name in names for names in inputs))[:_MOST_SLICED]
    for name in slices:
        if name not in columns:
            raise ColumnNotFound(
                "The data has no column {column!r} to slice by; its columns are {columns}.",
                column=name,
                columns=", ".join(columns),
            )
    return tuple(slices)
