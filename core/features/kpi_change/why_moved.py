"""Why did the KPI move? Train the missing combinations of two versions, and split the change of each KPI."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from core.access.permissions import Action
from core.entities import Actor, Event, Job, ModelVersionKey, Outcome, TableVersion, Task
from core.errors import BadParameter, ColumnNotFound, NotReproducible
from core.features.head_to_head.unseen_rows import is_among
from core.features.kpi_change.result import RESAMPLES, WhyMoved, serialize
from core.features.kpi_change.training_runs import Trainings
from core.features.kpi_change.what_differs import Differences, Side, read_differences, require_factors, what_differs
from core.features.stores import Stores
from core.features.training.retraining import read_training_data
from core.jobs.progress import Progress, Silent
from core.learning.artifact_files import folder_sha256
from core.learning.comparison.answers import Answers, predict_rows
from core.learning.comparison.bootstrap import SEED
from core.learning.comparison.kpi_change import KpiChange, split_change
from core.learning.comparison.resampled_kpis import resample_kpis
from core.learning.frames import has_value, target_values
from core.texts import text

REPEATS = 20
_MOST_REPEATS = 200
_FEWEST_ROWS = 10
_MOST_ROWS = 100_000


@dataclass(frozen=True, kw_only=True)
class _CommonRows:
    """Rows of *data* that no training used. *left_out* counts all other rows of *data*."""

    data: TableVersion
    rows: pa.Table
    left_out: int
    notes: tuple[str, ...]


def submit_why_moved(
    stores: Stores,
    actor: Actor,
    first: ModelVersionKey,
    second: ModelVersionKey,
    *,
    table: str = "",
    version: int | None = None,
    repeats: int = REPEATS,
    reason: str = "",
) -> Job:
    """Submit the question as a job for a worker. A data version to test on is pinned now.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, BadParameter, NotReproducible, Forbidden
    """
    stores.audit.require(actor, Action.MODEL_EXPLAIN, str(second))
    _check_repeats(repeats)
    require_factors(what_differs(stores, actor, first, second))
    pinned = None
    if table:
        source, pinned = stores.pin(table, version)
        stores.engine.snapshot(source, version=pinned.version)
    arguments = {
        "model": second.model,
        "model_version": second.version,
        "against": first.model,
        "against_version": first.version,
        "table": pinned.table if pinned else "",
        "version": pinned.version if pinned else None,
        "repeats": repeats,
        "reason": reason,
    }
    return stores.jobs.submit("why-moved", arguments, actor)


def why_moved(
    stores: Stores,
    actor: Actor,
    first: ModelVersionKey,
    second: ModelVersionKey,
    *,
    table: str = "",
    version: int | None = None,
    repeats: int = REPEATS,
    reason: str = "",
    progress: Progress | None = None,
) -> WhyMoved:
    """Split the change of each KPI from *first* to *second* into the parts of what differs between them.

    Every combination of the settings that differ is trained on the pinned data versions. All models, also the stored
    ones, answer the same rows: those of *table* (default: of one of both data versions) that no training used. Each
    combination is trained *repeats* more times on other draws of its training rows, for the intervals. Nothing is
    registered or changed; the audit log keeps the result.

    Raises:
        ModelVersionNotFound, TableNotFound, VersionNotFound, DataUnreadable, ColumnNotFound
        BadParameter: nothing differs that can be trained apart, the tasks or targets differ, or too few rows are left.
        NotReproducible: a version cannot be trained again.
        TrainingFailed: a combination of settings cannot be trained.
        ModelUnloadable: a stored model is not safe to load.
        RegistryUnavailable, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.MODEL_EXPLAIN, str(second), reason=reason) as record:
        watch.remember(operation=record.operation)
        _check_repeats(repeats)
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
            differences = read_differences(stores, first, second, Path(folder))
            require_factors(differences)
            watch.checkpoint()
            watch.report(0.02, text("reading the training data"))
            trainings = Trainings(differences=differences, tables=_training_tables(stores, differences, watch))
            common = _common_rows(stores, trainings, table, version)
            changes, notes = _changes(trainings, common, repeats, watch)
            result = WhyMoved(
                first=first,
                second=second,
                data=common.data,
                target=differences.first.recipe.target,
                rows=common.rows.num_rows,
                left_out=common.left_out,
                factors=differences.factors,
                inseparable=differences.inseparable,
                changes=changes,
                first_logged=differences.first.logged,
                second_logged=differences.second.logged,
                repeats=repeats,
                notes=(*common.notes, *notes, *_notes(differences)),
                artifacts={
                    str(side.key): folder_sha256(side.folder) for side in (differences.first, differences.second)
                },
            )
        record.after = serialize(result)
        watch.report(1.0, text("compared on {rows} rows", rows=result.rows))
    return result


def past_answers(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[Event, ...]:
    """Return the newest 100 answers about *key*, newest first; their `after` is the result of `serialize`."""
    stores.audit.require(actor, Action.MODEL_READ)
    return stores.audit.search(
        action=Action.MODEL_EXPLAIN.value, subject=str(key), outcome=Outcome.SUCCESS.value, limit=100
    )


def _check_repeats(repeats: int) -> None:
    if repeats != 0 and not 2 <= repeats <= _MOST_REPEATS:
        raise BadParameter(
            "The number of repeats must be 0 or a number from 2 to {most}, not {value}.",
            most=_MOST_REPEATS,
            value=repeats,
            name="repeats",
        )


def _training_tables(stores: Stores, differences: Differences, watch: Progress) -> Mapping[TableVersion, pa.Table]:
    tables: dict[TableVersion, pa.Table] = {}
    for side in (differences.first, differences.second):
        if side.training.data not in tables:
            try:
                tables[side.training.data] = read_training_data(stores, side.training, watch)
            except NotReproducible as error:
                raise NotReproducible(
                    "{model} cannot be trained again, so the change of a KPI cannot be split: {reason}",
                    model=str(side.key),
                    reason=str(error),
                ) from error
    return tables


def _common_rows(stores: Stores, trainings: Trainings, table: str, version: int | None) -> _CommonRows:
    """Return the rows that no training used: of the named table, or of the training data with the most of them."""
    if table:
        source, data = stores.pin(table, version)
        rows = trainings.tables.get(data)
        candidates = {data: stores.engine.read(source, version=data.version) if rows is None else rows}
    else:
        candidates = dict(trainings.tables)
    found = [_unused(trainings, data, rows) for data, rows in candidates.items()]
    # The second version's data wins a tie.
    common = max(reversed(found), key=lambda candidate: candidate.rows.num_rows)
    if common.rows.num_rows < _FEWEST_ROWS:
        raise BadParameter(
            "{left} rows of {data} are left that no training used; the comparison needs {needed}. Name a data version "
            "with other rows.",
            left=common.rows.num_rows,
            data=str(common.data),
            needed=_FEWEST_ROWS,
        )
    if common.rows.num_rows <= _MOST_ROWS:
        return common
    chosen = np.sort(np.random.default_rng(SEED).choice(common.rows.num_rows, _MOST_ROWS, replace=False))
    note = text("{most} of {rows} rows were drawn at random.", most=_MOST_ROWS, rows=common.rows.num_rows)
    return _CommonRows(
        data=common.data,
        rows=common.rows.take(pa.array(chosen)),
        left_out=common.left_out + common.rows.num_rows - _MOST_ROWS,
        notes=(*common.notes, note),
    )


def _unused(trainings: Trainings, data: TableVersion, rows: pa.Table) -> _CommonRows:
    recipes = (trainings.differences.first.recipe, trainings.differences.second.recipe)
    for name in (recipes[0].target, *recipes[0].features, *recipes[1].features):
        if name not in rows.column_names:
            raise ColumnNotFound(
                "{table} has no column {column!r}; its columns are {columns}.",
                table=str(data),
                column=name,
                columns=", ".join(rows.column_names),
            )
    kept = has_value(rows.column(recipes[0].target))
    for trained in trainings.all_training_rows():
        kept &= ~is_among(rows, trained)
    note = text(
        "{count} of {rows} rows of {data} have a target and are rows that no training used.",
        count=int(kept.sum()),
        rows=rows.num_rows,
        data=data,
    )
    return _CommonRows(data=data, rows=rows.filter(pa.array(kept)), left_out=int((~kept).sum()), notes=(note,))


def _changes(
    trainings: Trainings, common: _CommonRows, repeats: int, watch: Progress
) -> tuple[Mapping[str, KpiChange], tuple[str, ...]]:
    """Train everything and split the change of each KPI. Return also what the reader must know."""
    recipe = trainings.differences.first.recipe
    actual = target_values(common.rows, recipe.target)
    is_classification = recipe.task is Task.CLASSIFICATION
    done, total = 0, trainings.count * (1 + repeats)

    def train_all(repeat: int) -> list[Answers]:
        nonlocal done
        answers = []
        for coalition in range(trainings.count):
            answers.append(trainings.train(coalition, common.rows, repeat=repeat, checkpoint=watch.checkpoint))
            done += 1
            watch.report(0.1 + 0.85 * done / total, text("training {number} of {total}", number=done, total=total))
        return answers

    pinned = train_all(0)
    sides = (trainings.differences.first, trainings.differences.second)
    stored = [predict_rows(side.folder, common.rows) for side in sides]
    kpis = resample_kpis(actual, [*pinned, *stored], is_classification=is_classification, resamples=RESAMPLES)
    repeated = [
        resample_kpis(actual, train_all(repeat), is_classification=is_classification, resamples=0)
        for repeat in range(1, repeats + 1)
    ]
    changes = {}
    for name, kpi in kpis.items():
        values = np.array([again[name].observed for again in repeated]).reshape(len(repeated), trainings.count)
        changes[name] = split_change(kpi, values)
    return changes, tuple(
        _reproduces(side, *answers)
        for side, answers in zip(sides, ((pinned[0], stored[0]), (pinned[-1], stored[1])), strict=True)
    )


def _reproduces(side: Side, again: Answers, stored: Answers) -> str:
    same = int(
        (again.predicted == stored.predicted).sum()
        if again.classes
        else np.isclose(again.predicted, stored.predicted, rtol=1e-9).sum()
    )
    return text(
        "{model}, trained again, predicts the same as the stored model for {same} of {total} rows.",
        model=str(side.key),
        same=same,
        total=len(stored.predicted),
    )


def _notes(differences: Differences) -> list[str]:
    return [
        text(
            "The {name} differs ({before} → {after}) and cannot be separated here: every training uses the present "
            "{name}. Its part is in the part that is not explained.",
            name=difference.name,
            before=difference.before,
            after=difference.after,
        )
        for difference in differences.inseparable
    ]
