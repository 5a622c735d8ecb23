"""Compare on Spark: both versions predict the rows on the executors, and only aggregates come to this process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.delta.spark.engine import SparkEngine
from core.entities import Recipe, Run, Table, TableVersion, Task
from core.errors import CoreError, RecipeNotFound
from core.features.head_to_head import judged_rows
from core.features.head_to_head.judged_rows import Side, no_target_note, require_rows
from core.features.head_to_head.result import Compared
from core.features.head_to_head.unseen_rows import training_data, training_rows_note, unknown
from core.features.stores import Stores
from core.features.training.logged_recipe import logged_recipe
from core.jobs.progress import Progress
from core.learning.external_training import is_spark
from core.learning.spark.comparison import compare_on_frame
from core.learning.spark.training_rows import is_test
from core.learning.spark.unseen_rows import with_target, without
from core.learning.training import training_rows
from core.texts import text


def compare_on_spark(
    stores: Stores,
    source: Table,
    data: TableVersion,
    sides: Sequence[Side],
    target: str,
    slices: Sequence[str],
    folder: Path,
    watch: Progress,
) -> Compared:
    """Compare *sides* on the rows of *data* that neither was trained on. *folder* is for temporary files.

    Raises:
        EngineFailed, EngineUnavailable: a Spark job failed, or the session was lost.
        BadParameter, ModelUnloadable, SchemaMismatch, JobCancelled
    """
    engine = stores.engine
    assert isinstance(engine, SparkEngine), "head_to_head() calls this function only if Spark is the engine"

    def compare() -> Compared:
        kept, left_out, notes = unseen_frame(stores, source, data, sides, target)
        first, second = sides
        comparison, parts = compare_on_frame(
            kept, target, (first.folder, second.folder), columns=slices, scratch=folder
        )
        method = text("Compared on Spark by aggregates; probabilities are put into 512 bins for roc_auc.")
        return Compared(comparison=comparison, slices=parts, left_out=left_out, notes=(*notes, method))

    return engine.watch(
        compare,
        report=lambda fraction, stage: watch.report(0.1 + 0.85 * fraction, stage),
        checkpoint=watch.checkpoint,
        step=text("comparing on {data}", data=data),
        table=source,
    )


def unseen_frame(
    stores: Stores, source: Table, data: TableVersion, sides: Sequence[Side], target: str
) -> tuple[Any, int, tuple[str, ...]]:
    """Return the rows that no version was trained on as a frame, how many were left out, and notes.

    Raises BadParameter.
    """
    engine = stores.engine
    assert isinstance(engine, SparkEngine), "only Spark has frames"
    frame = engine.frame(source, version=data.version)
    rows = frame.count()
    kept = with_target(frame, target)
    valued = kept.count()
    notes: list[str] = []
    if valued < rows:
        notes.append(no_target_note(rows - valued, target))
    for side in sides:
        kept, note = _unseen(stores, kept, frame, rows, data, side)
        notes.append(note)
    left = kept.count()
    require_rows(left, rows, data)
    return kept, rows - left, tuple(notes)


def _unseen(stores: Stores, kept: Any, frame: Any, rows: int, data: TableVersion, side: Side) -> tuple[Any, str]:
    """Return the rows of *kept* that are not training rows of *side*, and a note. *frame* has all *rows* of *data*."""
    trained_on, note = training_data(stores, data, side.key, side.run)
    if side.run is None or trained_on is None:
        return kept, note
    try:
        trained = _training_frame(stores, frame.sparkSession, trained_on, side, side.run)
    except CoreError as error:
        return kept, unknown(side.key, str(error))
    return without(kept, trained), training_rows_note(side.key, rows - without(frame, trained).count(), rows)


def _training_frame(stores: Stores, session: Any, trained_on: TableVersion, side: Side, run: Run) -> Any:
    """Return the training rows of *side*: Spark's split by a hash of the row, or that of the embedded training."""
    engine = stores.engine
    assert isinstance(engine, SparkEngine)
    table = stores.catalog.resolve(trained_on.table, registered_only=True)
    if is_spark(run.params.get("estimator", "")):
        rows = engine.frame(table, version=trained_on.version)
        return rows.where(~is_test(rows, _split_of(run, trained_on)))
    recipe = logged_recipe(run, side.key, trained_on, side.info)
    count = engine.snapshot(table, version=trained_on.version).rows
    if count is None or count > judged_rows.MOST_READ:
        raise RecipeNotFound(
            "{data} is too large to split again as the training did; at most {most:,} rows are read.",
            data=str(trained_on),
            most=judged_rows.MOST_READ,
        )
    return session.createDataFrame(training_rows(engine.read(table, version=trained_on.version), recipe))


def _split_of(run: Run, data: TableVersion) -> Recipe:
    """Return the part of a recipe of Spark that decides the split. Raises RecipeNotFound."""
    try:
        fraction, seed = float(run.params["test_fraction"]), int(run.params["seed"])
    except (KeyError, ValueError) as error:
        raise RecipeNotFound("The run did not log its test fraction and its seed.") from error
    task = Task.CLASSIFICATION
    return Recipe(
        name="", model="", task=task, table=data.table, target="", estimator="", test_fraction=fraction, seed=seed
    )
