"""Run a job: call the service for its kind of work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.access.permissions import Action
from core.entities import Actor, Job, ModelVersionKey, Outcome, RunStatus
from core.errors import BadInput
from core.features.admin.tokens import require_valid_token
from core.features.head_to_head.evaluate import JOB_KIND as EVALUATE
from core.features.head_to_head.evaluate import evaluate
from core.features.head_to_head.head_to_head import head_to_head
from core.features.head_to_head.result import serialize as head_to_head_result
from core.features.kpi_change.result import serialize as why_moved_result
from core.features.kpi_change.why_moved import why_moved
from core.features.scoring.score import score
from core.features.stores import Stores
from core.features.takeover.accept_registry import JOB_KIND as ACCEPT
from core.features.takeover.accept_registry import accept_registry
from core.features.training.reproduce import reproduce, serialize
from core.features.training.train import train
from core.jobs.progress import Progress
from core.jobs.store import actor_of
from core.texts import text

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
    options = dict(arguments)
    key = ModelVersionKey(model=options.pop("model"), version=options.pop("model_version"))
    return serialize(reproduce(stores, actor, key, progress=progress, **options))


def _accept(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    models = accept_registry(stores, actor, progress=progress, **arguments)
    return {"models": len(models), "versions": sum(model.versions for model in models)}


def _head_to_head(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    options = dict(arguments)
    second = ModelVersionKey(model=options.pop("model"), version=options.pop("model_version"))
    first = ModelVersionKey(model=options.pop("against"), version=options.pop("against_version"))
    result = head_to_head_result(head_to_head(stores, actor, first, second, progress=progress, **options))
    return {name: result[name] for name in ("first", "second", "data", "rows", "left_out", "metrics")}


def _evaluate(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    options = dict(arguments)
    key = ModelVersionKey(model=options.pop("model"), version=options.pop("model_version"))
    result = evaluate(stores, actor, key, progress=progress, **options)
    return {
        "model": str(result.model),
        "data": str(result.data),
        "rows": result.rows,
        "left_out": result.left_out,
        "metrics": dict(result.metrics),
    }


def _why_moved(stores: Stores, actor: Actor, arguments: Mapping[str, Any], progress: Progress) -> Mapping[str, Any]:
    options = dict(arguments)
    second = ModelVersionKey(model=options.pop("model"), version=options.pop("model_version"))
    first = ModelVersionKey(model=options.pop("against"), version=options.pop("against_version"))
    result = why_moved_result(why_moved(stores, actor, first, second, progress=progress, **options))
    return {name: result[name] for name in ("first", "second", "data", "rows", "left_out", "factors", "metrics")}


HANDLERS: dict[str, Handler] = {
    "train": _train,
    "score": _score,
    "reproduce": _reproduce,
    "head-to-head": _head_to_head,
    EVALUATE: _evaluate,
    "why-moved": _why_moved,
    ACCEPT: _accept,
}

ACTIONS = {
    "train": Action.RUN_TRAIN,
    "score": Action.PREDICTION_SCORE,
    "reproduce": Action.MODEL_REPRODUCE,
    ACCEPT: Action.REGISTRY_ACCEPT,
    "head-to-head": Action.MODEL_COMPARE,
    EVALUATE: Action.MODEL_EVALUATE,
    "why-moved": Action.MODEL_EXPLAIN,
}


def clean_up(stores: Stores, job: Job) -> None:
    """End the MLflow run and the unfinished action that *job* left open when its process died."""
    reason = job.error or text("the job's process died; the job is {status} again", status=job.status.value)
    run_id, operation = job.result.get("run_id"), job.result.get("operation")
    if operation:
        for intent in (event for event in stores.audit.unfinished() if event.operation == operation):
            stores.audit.append(
                actor_of(job), intent.action, intent.subject, Outcome.FAILED, reason=reason, operation=operation
            )
    if run_id and stores.runs.get(run_id).status is RunStatus.RUNNING:
        stores.runs.end(run_id, RunStatus.KILLED, reason)


def run_service(
    stores: Stores,
    actor: Actor,
    kind: str,
    arguments: Mapping[str, Any],
    progress: Progress,
    *,
    job: Job | None = None,
) -> Mapping[str, Any]:
    """Do the work of one job and return its result for the job table. *job* is its row, if it has one.

    Raises:
        NotSignedIn: the job needs a token, and its token is not valid.
        CoreError: the service failed.
    """
    handler = HANDLERS.get(kind)
    if handler is None:
        raise BadInput("{kind!r} is not a kind of job; the kinds are {kinds}.", kind=kind, kinds=", ".join(HANDLERS))
    require_valid_token(
        stores,
        actor,
        ACTIONS[kind],
        str(arguments.get("recipe") or arguments.get("model") or kind),
        scheduled=job is not None and job.trigger_id is not None,
        created=job.created if job is not None else None,
    )
    return handler(stores, actor, arguments, progress)
