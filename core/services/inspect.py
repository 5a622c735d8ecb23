"""Inspects what may have changed behind the app's back: runs, metrics, data stamps, artifacts, numbers of versions.

What was true is read from our own log (what a training logged) and our own decisions (what was approved), never from
the registry that is looked at.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.audit.canonical import settled
from core.entities import Difference, ModelVersion, Outcome, PromotionRequest, RequestStatus, Run, Stage
from core.errors import CoreError, RunNotFound
from core.permissions import Action
from core.services.appraise import folder_sha256
from core.services.stores import Stores

RUN_GONE = "run deleted"
NUMBER_GONE = "version number missing"
METRIC = "metric changed"
DATA_STAMP = "data stamp changed"
ARTIFACT = "artifact replaced"


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What our log says that a training left: its metrics and its data version."""

    metrics: Mapping[str, Any]
    data: str


def changed_outside(stores: Stores) -> tuple[Difference, ...]:
    """Raises RegistryUnavailable. A constant number of registry calls, and one download per version in Production."""
    versions = stores.models.versions()
    runs = stores.runs.get_many([v.run_id for v in versions if v.run_id], fresh=True)
    known = _trainings(stores)
    return (
        *_gaps(versions, known),
        *(found for version in versions for found in _of_run(stores, version, runs, known)),
        *_artifacts(stores, versions),
    )


def _trainings(stores: Stores) -> dict[str, _Known]:
    """By model version, as the audit log has them."""
    events = stores.audit.search(action=Action.RUN_TRAIN.value, outcome=Outcome.SUCCESS.value, limit=None)
    return {
        str(event.after["model"]): _Known(metrics=event.after.get("metrics", {}), data=str(event.after.get("data", "")))
        for event in events
        if event.after.get("model")
    }


def _gaps(versions: Iterable[ModelVersion], known: Mapping[str, _Known]) -> Iterator[Difference]:
    """MLflow never gives a number twice: a number below the highest that is not there was deleted."""
    numbers: dict[str, set[int]] = {}
    for version in versions:
        numbers.setdefault(version.model, set()).add(version.version)
    for name in known:
        model, _, text = name.rpartition("/")
        if int(text) not in numbers.setdefault(model, set()):
            yield _gone(model, int(text), "our log of its training")
    for model, there in numbers.items():
        for number in range(1, max(there, default=0)):
            if number not in there and f"{model}/{number}" not in known:
                yield _gone(model, number, "the numbers after it")


def _gone(model: str, number: int, known_from: str) -> Difference:
    return Difference(
        kind=NUMBER_GONE,
        subject=f"{model}/{number}",
        expected="a registered version",
        found="not in the registry",
        detail=f"The version was deleted from the registry; it is known from {known_from}.",
    )


def _of_run(
    stores: Stores, version: ModelVersion, runs: Mapping[str, Run], known: Mapping[str, _Known]
) -> Iterator[Difference]:
    if not version.run_id:
        return
    run = runs.get(version.run_id) or _deleted(stores, version.run_id)
    if run is None or run.is_deleted:
        yield Difference(
            kind=RUN_GONE,
            subject=str(version.key),
            expected=f"run {version.run_id}",
            found="deleted" if run else "never existed, or deleted for good",
            detail="The run behind the version is gone, and with it how the version was made.",
        )
    then = known.get(str(version.key))
    if run is None or then is None:
        return
    for name, value in then.metrics.items():
        now = settled(run.metrics[name]) if name in run.metrics else None
        if now != settled(value):
            yield Difference(
                kind=METRIC,
                subject=str(version.key),
                expected=f"{name} {value}",
                found=f"{name} {now}" if now is not None else f"no {name}",
                detail=f"Run {run.run_id} shows another value of {name} than its training logged.",
            )
    if then.data and run.data is not None and str(run.data) != then.data:
        yield Difference(
            kind=DATA_STAMP,
            subject=str(version.key),
            expected=then.data,
            found=str(run.data),
            detail=f"The tags of run {run.run_id} name another data version than the one it was trained on.",
        )


def _deleted(stores: Stores, run_id: str) -> Run | None:
    try:
        return stores.runs.get(run_id)
    except RunNotFound:
        return None


def _artifacts(stores: Stores, versions: Iterable[ModelVersion]) -> Iterator[Difference]:
    """The artifact of what serves, against the hash that was approved."""
    approved: dict[str, PromotionRequest] = {}
    for request in stores.decisions.list(statuses=(RequestStatus.APPROVED,)):
        approved.setdefault(str(request.key), request)
    for version in versions:
        decision = approved.get(str(version.key))
        if version.stage is not Stage.PRODUCTION or decision is None:
            continue
        expected = dict(decision.evidence.get("candidate", {})).get("artifact", {}).get("sha256")
        found, why = _artifact_sha256(stores, version)
        if expected and found != expected:
            yield Difference(
                kind=ARTIFACT,
                subject=str(version.key),
                expected=f"SHA-256 {expected}",
                found=f"SHA-256 {found}" if found else "no artifact that can be read",
                detail=why or f"The model's files are not those that {decision.decided_by} approved.",
            )


def _artifact_sha256(stores: Stores, version: ModelVersion) -> tuple[str | None, str]:
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            return folder_sha256(stores.models.download(version.key, Path(folder))), ""
        except CoreError as error:
            return None, str(error)
