"""Reproduce: a model version is made again from its pinned data and its logged parameters, and compared with itself."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from core.access.permissions import Action
from core.delta.content_hash import content_sha256
from core.entities import (
    Actor,
    Event,
    Job,
    ModelVersionKey,
    Outcome,
    Recipe,
    Reproduced,
    Reproduction,
    Run,
    TableVersion,
    Task,
)
from core.errors import BadParameter, CoreError, DataUnreadable, EngineFailed, ModelUnloadable, NotFound, TrainingFailed
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import run_of
from core.features.stores import Stores
from core.features.training.git_commit import code_tags
from core.jobs.progress import Progress, Silent
from core.learning.estimators import find_estimator
from core.learning.external_training import is_external
from core.learning.kpis import is_kpi
from core.learning.packaging import requirements
from core.learning.safety.inspect_model import ModelInfo, inspect_model
from core.learning.scoring import predict
from core.learning.training import Fitted, Split, evaluate, fit, split

if TYPE_CHECKING:
    import numpy as np

TOLERANCE = 1e-3


class _Impossible(Exception):
    """It cannot be made again; the message says why. An answer, no error: it never leaves this file."""


def submit_reproduction(
    stores: Stores, actor: Actor, key: ModelVersionKey, *, tolerance: float = TOLERANCE, reason: str = ""
) -> Job:
    """Puts it into the job table; a worker does it. Raises ModelVersionNotFound, BadParameter, Forbidden."""
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
    """Trains *key* again on the rows, split, seed and parameters of its run; registers nothing, changes nothing.

    "reproduced": every KPI is the same to the last digit and the stored model answers every test row as the new one
    does; "within tolerance": the KPIs differ by at most *tolerance*, relative or absolute. What cannot be made again is
    "impossible" and says why. The verdict is kept in the audit log.
    Raises ModelVersionNotFound, BadParameter, RegistryUnavailable, JobCancelled, Forbidden.
    """
    watch = progress or Silent()
    with stores.audit.recording(actor, Action.MODEL_REPRODUCE, str(key), reason=reason) as record:
        watch.remember(operation=record.operation)
        _check_tolerance(tolerance)
        version = stores.models.version(key)
        run = run_of(stores, version)
        source = data_sources(run, version)[0]
        try:
            found = _again(stores, key, run, source.key, tolerance, watch)
        except _Impossible as error:
            found = Reproduction(model=key, verdict=Reproduced.IMPOSSIBLE, why=str(error), data=source.key)
        record.after = told(found)
        watch.report(1.0, f"{key}: {found.verdict.value}")
    return found


def past_reproductions(stores: Stores, actor: Actor, key: ModelVersionKey) -> tuple[Event, ...]:
    """Earlier verdicts on *key*, newest first, as the audit log keeps them: `after` holds what `told` gives."""
    stores.audit.require(actor, Action.MODEL_READ)
    return stores.audit.search(
        action=Action.MODEL_REPRODUCE.value, subject=str(key), outcome=Outcome.SUCCESS.value, limit=20
    )


def told(found: Reproduction) -> dict[str, object]:
    """A reproduction as the audit log, a job and the command line keep it."""
    return {
        "model": str(found.model),
        "verdict": found.verdict.value.replace(" ", "_"),
        "why": found.why,
        "data": None if found.data is None else str(found.data),
        "metrics": {name: {"logged": logged, "again": again} for name, (logged, again) in found.metrics.items()},
        "answers": None if found.answers is None else {"same": found.answers[0], "of": found.answers[1]},
        "changed": list(found.changed),
    }


def _again(
    stores: Stores,
    key: ModelVersionKey,
    run: Run | None,
    data: TableVersion | None,
    tolerance: float,
    watch: Progress,
) -> Reproduction:
    if run is None:
        raise _Impossible("Its run is not in MLflow, so nobody knows with which parameters it was made.")
    if data is None:
        raise _Impossible("Its run names no data version, so nobody knows which rows it was trained on.")
    if is_external(estimator := run.params.get("estimator", "")):
        raise _Impossible(f"It was trained by {estimator}; train it again on {data} and compare the two runs.")
    watch.report(0.02, f"reading {data}")
    rows = _rows(stores, run, data, watch)
    with tempfile.TemporaryDirectory(prefix="modelledger-") as place:
        artifact, info = _artifact(stores, key, Path(place))
        recipe = _recipe(run, key, data, info)
        watch.checkpoint()
        watch.report(0.2, f"fitting {recipe.estimator}")
        try:
            made = split(rows, recipe)
            fitted = fit(recipe, made, report=lambda fraction, line: _tell(watch, fraction, line))
            again = {**evaluate(fitted, made), "TrainRows": len(made.train), "TestRows": len(made.test)}
        except (TrainingFailed, BadParameter, NotFound) as error:
            raise _Impossible(f"Its training fails now: {error}") from error
        watch.report(0.9, "comparing the answers")
        answers, problem = _compared(artifact, fitted, made)
    metrics = _pairs(run.metrics, again)
    verdict, why = _judged(metrics, answers, problem, tolerance)
    watch.line(why)
    return Reproduction(
        model=key, verdict=verdict, why=why, data=data, metrics=metrics, answers=answers, changed=_changed(run, info)
    )


def _rows(stores: Stores, run: Run, data: TableVersion, watch: Progress) -> pa.Table:
    try:
        table = stores.catalog.resolve(data.table)
        verdict = stores.engine.readable(table, data.version)
        if not verdict.is_readable:
            raise _Impossible(f"{data} can no longer be read: {verdict.reason}")
        rows = stores.engine.read(table, version=data.version)
    except (NotFound, DataUnreadable, EngineFailed) as error:
        raise _Impossible(f"{data} cannot be read: {error}") from error
    digest, logged = content_sha256(rows.schema, rows.to_batches()), run.tags.get("delta.content_sha256")
    watch.line(f"{rows.num_rows} rows, content SHA-256 {digest}")
    if logged is not None and logged != digest:
        raise _Impossible(
            f"{data} does not hold the rows it was trained on: their content SHA-256 was {logged}, now it is {digest}."
        )
    return rows


def _artifact(stores: Stores, key: ModelVersionKey, place: Path) -> tuple[Path, ModelInfo]:
    try:
        artifact = stores.models.download(key, place)
        return artifact, inspect_model(artifact)
    except (NotFound, ModelUnloadable) as error:
        raise _Impossible(f"Its artifact cannot be read, so there is nothing to compare with: {error}") from error


def _recipe(run: Run, key: ModelVersionKey, data: TableVersion, info: ModelInfo) -> Recipe:
    """The recipe as its run logged it; the columns are those of the model's signature."""
    missing = [name for name in ("estimator", "target", "test_fraction", "seed") if name not in run.params]
    if missing:
        raise _Impossible(
            f"Its run did not log {', '.join(missing)}: it was not trained from here, and how it was is not known."
        )
    estimator = run.params["estimator"]
    if not info.inputs:
        raise _Impossible("The model has no signature, so the columns it was trained on are not known.")
    try:
        task = Task(run.tags.get("task", ""))
        known = {parameter.name for parameter in find_estimator(estimator, task).parameters}
        return Recipe(
            name=run.tags.get("recipe", key.model),
            model=key.model,
            task=task,
            table=data.table,
            target=run.params["target"],
            estimator=estimator,
            features=tuple(column.name for column in info.inputs),
            params={name: value for name, value in run.params.items() if name in known},
            test_fraction=float(run.params["test_fraction"]),
            seed=int(run.params["seed"]),
        )
    except (ValueError, BadParameter) as error:
        raise _Impossible(f"Its run's parameters cannot be used any more: {error}") from error


def _tell(watch: Progress, fraction: float, line: str) -> None:
    watch.checkpoint()
    watch.report(0.2 + 0.65 * fraction, "fitting it again")
    watch.line(line)


def _compared(artifact: Path, fitted: Fitted, data: Split) -> tuple[tuple[int, int] | None, str]:
    """How many test rows the stored model (in a process of its own) answers as the new one; or why nobody can say."""
    rows = pa.Table.from_pandas(data.test, preserve_index=False)
    again = fitted.pipeline.predict(data.test)
    try:
        stored = pa.Table.from_batches(list(predict(artifact, rows.to_batches(), rows.schema)))
    except CoreError as error:
        return None, str(error)
    return (_alike(stored.column("prediction").to_pylist(), again), len(again)), ""


def _alike(stored: list[object], again: np.ndarray) -> int:
    return sum(
        math.isclose(one, other, rel_tol=1e-9) if isinstance(one, float) else one == other
        for one, other in zip(stored, again.tolist(), strict=True)
    )


def _pairs(logged: Mapping[str, float], again: Mapping[str, float]) -> dict[str, tuple[float | None, float | None]]:
    names = [name for name in logged if is_kpi(name)] + [
        name for name in again if name not in logged or not is_kpi(name)
    ]
    return {name: (logged.get(name), again.get(name)) for name in dict.fromkeys(names)}


def _judged(
    metrics: Mapping[str, tuple[float | None, float | None]],
    answers: tuple[int, int] | None,
    problem: str,
    tolerance: float,
) -> tuple[Reproduced, str]:
    far = [name for name, pair in metrics.items() if not _close(pair, tolerance)]
    if far:
        return Reproduced.DIVERGED, f"{_listed(far, metrics)} came out otherwise than its run logged."
    if answers is None:
        return Reproduced.DIVERGED, f"Its KPIs came out again, but the stored model does not answer: {problem}"
    same, of = answers
    moved = [name for name, pair in metrics.items() if not _close(pair, 0.0)]
    if moved:
        return (
            Reproduced.WITHIN_TOLERANCE,
            f"{_listed(moved, metrics)} differs by no more than {tolerance:g}; {same} of {of} test rows are answered "
            "alike.",
        )
    if same < of:
        return (
            Reproduced.DIVERGED,
            f"Its KPIs came out again, but the stored model answers {of - same} of {of} test rows otherwise.",
        )
    return (
        Reproduced.REPRODUCED,
        f"All {len(metrics)} numbers are the same to the last digit, and the stored model answers all {of} test rows "
        "as the new one does.",
    )


def _close(pair: tuple[float | None, float | None], tolerance: float) -> bool:
    logged, again = pair
    if logged is None or again is None:
        return False
    if math.isnan(logged) or math.isnan(again):
        return math.isnan(logged) and math.isnan(again)
    return math.isclose(logged, again, rel_tol=tolerance, abs_tol=tolerance)


def _listed(names: list[str], metrics: Mapping[str, tuple[float | None, float | None]]) -> str:
    def number(value: float | None) -> str:
        return "nothing" if value is None else f"{value:.6g}"

    return ", ".join(f"{name} ({number(metrics[name][0])} then, {number(metrics[name][1])} now)" for name in names)


def _changed(run: Run, info: ModelInfo) -> tuple[str, ...]:
    """Packages and code that are not those of the training: what a difference may come from."""
    now = dict(line.split("==", 1) for line in requirements())
    found = [
        f"{name} {version} then, {now[name]} now"
        for name, _, version in (line.partition("==") for line in info.requirements)
        if name in now and version and now[name] != version
    ]
    then, here = run.tags.get("mlflow.source.git.commit"), code_tags().get("mlflow.source.git.commit")
    if then and here and then != here:
        found.append(f"code {then[:12]} then, {here[:12]} now")
    return tuple(found)


def _check_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance <= 1:
        raise BadParameter(f"The tolerance is a number from 0 to 1, not {tolerance:g}.", name="tolerance")
