"""Reproduce a model version: train it again from its pinned data and logged parameters, and compare the results."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from core.access.permissions import Action
from core.delta.content_hash import content_sha256
from core.entities import (
    Actor,
    DataSource,
    Event,
    Job,
    ModelVersionKey,
    Outcome,
    Reproduced,
    Reproduction,
    Run,
    Table,
    TableVersion,
)
from core.errors import (
    BadParameter,
    CoreError,
    DataUnreadable,
    EngineFailed,
    ModelUnloadable,
    NotFound,
    RecipeNotFound,
    TrainingFailed,
)
from core.features.lineage.identity import identity_of
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import recorded_data, run_of, why_not_opened
from core.features.runs.version_metrics import metrics_of_version
from core.features.stores import Stores
from core.features.training.git_commit import code_tags
from core.features.training.logged_recipe import logged_recipe, refuse_external
from core.features.training.reproduction_verdict import judge, pair_metrics
from core.jobs.progress import Progress, Silent
from core.learning.packaging import requirements
from core.learning.safety.inspect_model import ModelInfo, inspect_model
from core.learning.scoring import predict
from core.learning.training import Fitted, Split, evaluate, fit, split
from core.texts import joined, text

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-3


class _NotReproducible(Exception):
    """The version cannot be trained again, for the reason *why*. It becomes a verdict and never leaves this file."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def submit_reproduction(
    stores: Stores, actor: Actor, key: ModelVersionKey, *, tolerance: float = TOLERANCE, reason: str = ""
) -> Job:
    """Submit a reproduction as a job for a worker. Raises ModelVersionNotFound, BadParameter, Forbidden."""
    stores.audit.require(actor, Action.MODEL_REPRODUCE, str(key))
    _check_tolerance(tolerance)
    stores.models.version(key)
    arguments = {"model": key.model, "model_version": key.version, "tolerance": tolerance, "reason": reason}
    return stores.jobs.submit("reproduce", arguments, actor)


def reproduce(
    stores: Stores,
    actor: Actor,
    key: ModelVersionKey,
    *,
    tolerance: float = TOLERANCE,
    reason: str = "",
    progress: Progress | None = None,
) -> Reproduction:
    """Train *key* again with the rows, split, seed and parameters of its run. Nothing is registered or changed.

    The verdict is "reproduced" if every KPI is equal to the last digit and both models predict the same for every test
    row, "within tolerance" if the KPIs differ by at most *tolerance* (relative or absolute), and "impossible" if the
    version cannot be trained again. The audit log keeps the verdict.

    Raises:
        ModelVersionNotFound, BadParameter, RegistryUnavailable, JobCancelled, Forbidden
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.MODEL_REPRODUCE, str(key), reason=reason) as record:
        watch.remember(operation=record.operation)
        _check_tolerance(tolerance)
        version = stores.models.version(key)
        run = run_of(stores, version)
        sources = [source for source in data_sources(stores, run, version) if source.is_training]
        source = sources[0]
        try:
            logged = metrics_of_version(stores, version, run).values
            reproduction = _train_again(stores, key, run, logged, sources, tolerance, watch)
        except _NotReproducible as error:
            reproduction = Reproduction(model=key, verdict=Reproduced.IMPOSSIBLE, why=error.why, data=source.key)
        record.after = serialize(reproduction)
        watch.report(1.0, text("{model}: {verdict}", model=key, verdict=reproduction.verdict.value))
    return reproduction


def past_reproductions(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[Event, ...]:
    """Return the events of earlier reproductions of *key*, newest first; their `after` is the result of `serialize`."""
    stores.audit.require(actor, Action.MODEL_READ)
    return stores.audit.search(
        action=Action.MODEL_REPRODUCE.value, subject=str(key), outcome=Outcome.SUCCESS.value, limit=20
    )


def serialize(reproduction: Reproduction) -> dict[str, object]:
    """Return a reproduction as the audit log, a job and the command line store it."""
    answers = reproduction.answers
    return {
        "model": str(reproduction.model),
        "verdict": reproduction.verdict.value.replace(" ", "_"),
        "why": reproduction.why,
        "data": None if reproduction.data is None else str(reproduction.data),
        "metrics": {name: {"logged": logged, "again": again} for name, (logged, again) in reproduction.metrics.items()},
        "answers": None if answers is None else {"same": answers[0], "of": answers[1]},
        "changed": list(reproduction.changed),
    }


def _train_again(
    stores: Stores,
    key: ModelVersionKey,
    run: Run | None,
    logged: Mapping[str, float],
    sources: Sequence[DataSource],
    tolerance: float,
    watch: Progress,
) -> Reproduction:
    if run is None:
        raise _NotReproducible(text("The run is not in MLflow, so its parameters are unknown."))
    source = sources[0]
    if source.claimed is None and source.version is None:
        raise _NotReproducible(text("The run names no data version, so the training rows are unknown."))
    table, data = source.resolved, source.key
    if table is None or data is None:
        raise _NotReproducible(why_not_opened(source))
    try:
        refuse_external(run, data)
    except RecipeNotFound as error:
        raise _NotReproducible(str(error)) from error
    _require_training_data(stores, key, run, sources)
    watch.report(0.02, text("reading {data}", data=data))
    rows = _rows(stores, run, table, data, watch)
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        artifact, info = _artifact(stores, key, Path(folder))
        try:
            recipe = logged_recipe(run, key, data, info)
        except RecipeNotFound as error:
            raise _NotReproducible(str(error)) from error
        watch.checkpoint()
        watch.report(0.2, text("fitting {estimator}", estimator=recipe.estimator))
        try:
            data_split = split(rows, recipe)
            fitted = fit(recipe, data_split, report=lambda fraction, line: _report(watch, fraction, line))
            again = {
                **evaluate(fitted, data_split),
                "TrainRows": len(data_split.train),
                "TestRows": len(data_split.test),
            }
        except (TrainingFailed, BadParameter, NotFound) as error:
            raise _NotReproducible(text("The training fails now: {reason}", reason=str(error))) from error
        watch.report(0.9, text("comparing the predictions"))
        answers, problem = _compare_predictions(artifact, fitted, data_split)
    metrics = pair_metrics(logged, again)
    verdict, why = judge(metrics, answers, problem, tolerance)
    watch.line(why)
    return Reproduction(
        model=key, verdict=verdict, why=why, data=data, metrics=metrics, answers=answers, changed=_changed(run, info)
    )


def _require_training_data(stores: Stores, key: ModelVersionKey, run: Run, sources: Sequence[DataSource]) -> None:
    """Raise if a table is not the one of the training. Another table passes if its rows are equal."""
    for source, recorded in recorded_data(run, stores.models.version(key), sources):
        if source.resolved is None or source.version is None:
            continue
        identity = identity_of(stores, source.resolved, source.version, recorded)
        if identity is None or not identity.is_contradicted:
            continue
        with suppress(DataUnreadable, EngineFailed):  # then what the log says counts
            identity = identity_of(stores, source.resolved, source.version, recorded, with_content=True) or identity
        if identity.is_contradicted:
            raise _NotReproducible(joined(identity.contradictions))


def _rows(stores: Stores, run: Run, table: Table, data: TableVersion, watch: Progress) -> pa.Table:
    try:
        verdict = stores.engine.readable(table, data.version)
        if not verdict.is_readable:
            raise _NotReproducible(text("{data} can no longer be read: {reason}", data=data, reason=verdict.reason))
        rows = stores.engine.read(table, version=data.version)
    except (NotFound, DataUnreadable, EngineFailed) as error:
        raise _NotReproducible(text("{data} cannot be read: {reason}", data=data, reason=str(error))) from error
    digest, logged = content_sha256(rows.schema, rows.to_batches()), run.tags.get("delta.content_sha256")
    watch.line(text("{rows} rows, content SHA-256 {digest}", rows=rows.num_rows, digest=digest))
    if logged is not None and logged != digest:
        raise _NotReproducible(
            text(
                "{data} no longer holds the training rows: their content SHA-256 was {logged}, and now it is {digest}.",
                data=data,
                logged=logged,
                digest=digest,
            )
        )
    return rows


def _artifact(stores: Stores, key: ModelVersionKey, folder: Path) -> tuple[Path, ModelInfo]:
    try:
        artifact = stores.models.download(key, folder)
        return artifact, inspect_model(artifact)
    except (NotFound, ModelUnloadable) as error:
        raise _NotReproducible(
            text("The artifact cannot be read, so there is no model to compare with: {reason}", reason=str(error))
        ) from error


def _report(watch: Progress, fraction: float, line: str) -> None:
    watch.checkpoint()
    watch.report(0.2 + 0.65 * fraction, text("fitting the model again"))
    watch.line(line)


def _compare_predictions(artifact: Path, fitted: Fitted, data: Split) -> tuple[tuple[int, int] | None, str]:
    """Return how many test rows both models predict alike, and of how many; or None and the reason.

    The stored model predicts in a process of its own.
    """
    rows = pa.Table.from_pandas(data.test, preserve_index=False)
    again = fitted.pipeline.predict(data.test)
    try:
        stored = pa.Table.from_batches(list(predict(artifact, rows.to_batches(), rows.schema)))
    except CoreError as error:
        return None, str(error)
    return (_count_alike(stored.column("prediction").to_pylist(), again), len(again)), ""


def _count_alike(stored: list[object], again: np.ndarray) -> int:
    return sum(
        math.isclose(before, after, rel_tol=1e-9) if isinstance(before, float) else before == after
        for before, after in zip(stored, again.tolist(), strict=True)
    )


def _changed(run: Run, info: ModelInfo) -> tuple[str, ...]:
    """Return the packages and the code that changed since the training and may cause a difference."""
    now = dict(line.split("==", 1) for line in requirements())
    changes: list[str] = [
        text("{package} {before} then, {after} now", package=name, before=version, after=now[name])
        for name, _, version in (line.partition("==") for line in info.requirements)
        if name in now and version and now[name] != version
    ]
    before, after = run.tags.get("mlflow.source.git.commit"), code_tags().get("mlflow.source.git.commit")
    if before and after and before != after:
        changes.append(text("code {before} then, {after} now", before=before[:12], after=after[:12]))
    return tuple(changes)


def _check_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance <= 1:
        raise BadParameter(
            "The tolerance must be a number from 0 to 1, not {value:g}.", value=tolerance, name="tolerance"
        )
