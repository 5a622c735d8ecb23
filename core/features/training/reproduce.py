"""Reproduce a model version: train it again from its pinned data and logged parameters, and compare the results."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from core.access.permissions import Action
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
)
from core.errors import BadParameter, CoreError, NotFound, NotReproducible, TrainingFailed
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import run_of
from core.features.runs.version_metrics import metrics_of_version
from core.features.stores import Stores
from core.features.training.git_commit import code_tags
from core.features.training.reproduction_verdict import judge, pair_metrics
from core.features.training.retraining import pinned_training, read_artifact, read_training_data, recipe_of
from core.jobs.progress import Progress, Silent
from core.learning.packaging import requirements
from core.learning.safety.inspect_model import ModelInfo
from core.learning.scoring import predict
from core.learning.training import Fitted, Split, evaluate, fit, split
from core.texts import text

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-3


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
        try:
            logged = metrics_of_version(stores, version, run).values
            reproduction = _train_again(stores, key, run, logged, sources, tolerance, watch)
        except NotReproducible as error:
            reproduction = Reproduction(model=key, verdict=Reproduced.IMPOSSIBLE, why=str(error), data=sources[0].key)
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
    training = pinned_training(stores, key, run, sources)
    watch.report(0.02, text("reading {data}", data=training.data))
    rows = read_training_data(stores, training, watch)
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        artifact, info = read_artifact(stores, key, Path(folder))
        recipe = recipe_of(training, info)
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
            raise NotReproducible("The training fails now: {reason}", reason=str(error)) from error
        watch.report(0.9, text("comparing the predictions"))
        answers, problem = _compare_predictions(artifact, fitted, data_split)
    metrics = pair_metrics(logged, again)
    verdict, why = judge(metrics, answers, problem, tolerance)
    watch.line(why)
    return Reproduction(
        model=key,
        verdict=verdict,
        why=why,
        data=training.data,
        metrics=metrics,
        answers=answers,
        changed=_changed(training.run, info),
    )


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
