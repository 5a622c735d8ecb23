"""Performs a job: which service does which kind of long work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.access.permissions import Action
from core.entities import Actor, Job, ModelVersionKey, Outcome, RunStatus
from core.errors import BadInput
from core.features.admin.tokens import require_valid_token
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.training.reproduce import reproduce, told
from core.features.training.train import train
from core.jobs.progress import Progress
from core.jobs.store import actor_of

Handler = Callable[[Stores, Actor, Mapping[str, Any], Progress], Mapping[str, Any]]


def _train(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    result = train(stores, actor, progress=progress, **arguments)
    return {
        "run_id": result.run_id,
        "model": result.model.model,
        "version": result.model.version,
        "table": result.data.table,
        "data_version": result.data.version,
        "metrics": dict(result.metrics),
    }


def _score(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    batch = score(stores, actor, progress=progress, **arguments)
    return {
        "batch_id": batch.batch_id,
        "model": batch.model,
        "version": batch.model_version,
        "table": batch.source.table,
        "data_version": batch.source.version,
        "into": str(batch.into),
        "rows": batch.rows,
    }


def _reproduce(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    asked = dict(arguments)
    key = ModelVersionKey(model=asked.pop("model"), version=asked.pop("model_version"))
    return told(reproduce(stores, actor, key, progress=progress, **asked))


HANDLERS: dict[str, Handler] = {"train": _train, "score": _score, "reproduce": _reproduce}

ACTIONS = {"train": Action.RUN_TRAIN, "score": Action.PREDICTION_SCORE, "reproduce": Action.MODEL_REPRODUCE}


def tidy(stores: Stores, job: Job) -> None:
    """Ends what a job left open whose process died: its MLflow run and its intent in the audit log."""
    why = job.error or f"its process died; the job is {job.status.value} again"
    run_id, operation = job.result.get("run_id"), job.result.get("operation")
    if operation:
        for intent in (event for event in stores.audit.unfinished() if event.operation == operation):
            stores.audit.append(
                actor_of(job), intent.action, intent.subject, Outcome.FAILED, reason=why, operation=operation
            )
    if run_id and stores.runs.get(run_id).status is RunStatus.RUNNING:
        stores.runs.end(run_id, RunStatus.KILLED, why)


def perform(
    stores: Stores,
    actor: Actor,
    kind: str,
    arguments: Mapping[str, Any],
    progress: Progress,
    *,
    job: Job | None = None,
) -> Mapping[str, Any]:
    """Does one job's work and returns its result for the job table. *job*: its row, where it has one.

    Raises what the service raises, NotSignedIn where the token that it acts by is needed and does not hold.
    """
    handler = HANDLERS.get(kind)
    if handler is None:
        raise BadInput(f"No work of the kind {kind!r}; kinds are {', '.join(HANDLERS)}.", kind=kind)
    require_valid_token(
        stores,
        actor,
        ACTIONS[kind],
        str(arguments.get("recipe") or arguments.get("model") or kind),
        scheduled=job is not None and job.trigger_id is not None,
        created=job.created if job is not None else None,
    )
    return handler(stores, actor, arguments, progress)
