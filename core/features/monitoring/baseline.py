"""Witness: what our log knows of each registered model version, from its training or from when it was seen first.

What is compared later is never asked of the registry again: it stands in the audit log, which nobody rewrites unseen.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import ChainMap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.access.permissions import Action
from core.audit.canonical_json import settled
from core.entities import Actor, ModelVersion, Outcome, RequestStatus, Role, Run, RunStatus
from core.errors import CoreError, Unavailable
from core.features.stores import Stores
from core.learning.artifact_files import folder_sha256

# Who looks and who writes down what it saw; it may read and open findings, nothing else.
INSPECTOR = Actor(name="modelledger", roles=frozenset({Role.AUDITOR}), channel="worker")
SUBJECT = "registry"

_OVER = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)
# Notes and names for people, and the projection of a stage: changed for good reasons, and compared elsewhere.
_NOT_EVIDENCE = {"mlflow.note.content", "mlflow.runName", "mlflow.log-model.history", "stage"}
_LONGEST_TAG = 300
_VERSIONS_PER_EVENT = 100


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """Facts by model version: run_id, source, created, stage and marks (of the version itself: marks are its tags),
    data, metrics and tags (of the run), artifact, late.

    A fact that nobody noted is missing, which is not the same as None. *aliases*: by model, alias to version.
    """

    versions: Mapping[str, Mapping[str, Any]]
    aliases: Mapping[str, Mapping[str, int]]

    def of(self, version: ModelVersion) -> Mapping[str, Any]:
        return self.versions.get(str(version.key), {})


def read_baseline(stores: Stores) -> Baseline:
    """What was noted first counts; of artifacts, what was approved last."""
    trained = stores.audit.search(action=Action.RUN_TRAIN.value, outcome=Outcome.SUCCESS.value, limit=None)
    seen = stores.audit.search(
        action=Action.RECONCILE_READ.value, subject=SUBJECT, outcome=Outcome.SUCCESS.value, limit=None
    )
    versions: dict[str, dict[str, Any]] = {}
    aliases: dict[str, Mapping[str, int]] = {}
    for event in sorted((*trained, *seen), key=lambda event: event.sequence):
        told = event.after.get("versions") if event.action == Action.RECONCILE_READ.value else _trained(event.after)
        for name, facts in (told or {}).items():
            versions[name] = dict(ChainMap(versions.get(name, {}), facts))
        for model, held in (event.after.get("aliases") or {}).items():
            aliases.setdefault(model, held)
    decided = sorted(stores.decisions.list(), key=lambda r: (r.status is RequestStatus.APPROVED, r.requested_at))
    for request in decided:
        sha256 = (request.evidence.get("candidate") or {}).get("artifact", {}).get("sha256")
        facts = versions.get(str(request.key))
        if facts is None or not sha256:
            continue
        if request.status is RequestStatus.APPROVED:
            facts["artifact"], facts["approved_by"] = sha256, request.decided_by
        else:
            facts.setdefault("artifact", sha256)
    return Baseline(versions=versions, aliases=aliases)


def extend_baseline(
    stores: Stores, versions: Sequence[ModelVersion], runs: Mapping[str, Run], before: Baseline, closely: Iterable[str]
) -> Baseline:
    """Writes down what nobody noted yet, *closely* also the artifact; a run that still runs is left for later."""
    wanted = set(closely)
    new: dict[str, dict[str, Any]] = {}
    for version in versions:
        run = runs.get(version.run_id or "")
        if run is not None and run.status not in _OVER:
            continue
        facts = _facts(stores, version, run)
        if str(version.key) in wanted and "artifact" not in before.of(version):
            facts["artifact"] = artifact_sha256(stores, version)[0]
            if run is not None and "metrics" not in before.of(version):
                facts["late"] = _late(stores, run)
        missing = {name: value for name, value in facts.items() if name not in before.of(version)}
        if missing:
            new[str(version.key)] = missing
    aliases = {model: held for model, held in aliases_of(versions).items() if model not in before.aliases}
    names = list(new)
    for start in range(0, len(names), _VERSIONS_PER_EVENT):
        _write(stores, {name: new[name] for name in names[start : start + _VERSIONS_PER_EVENT]}, {})
    if aliases:
        _write(stores, {}, aliases)
    return read_baseline(stores) if new or aliases else before


def aliases_of(versions: Iterable[ModelVersion]) -> dict[str, dict[str, int]]:
    """By model, alias to version number; a model without an alias has none."""
    found: dict[str, dict[str, int]] = {}
    for version in versions:
        found.setdefault(version.model, {}).update(dict.fromkeys(version.aliases, version.version))
    return found


def evidence_tags(stores: Stores, tags: Mapping[str, str]) -> dict[str, str]:
    """What of *tags* is evidence, as the log keeps it; a long value by its hash."""
    return {
        name: value if len(value) <= _LONGEST_TAG else f"SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
        for name, value in sorted(settled(stores.audit.redacted(dict(tags))).items())
        if name not in _NOT_EVIDENCE
    }


def version_identity(stores: Stores, version: ModelVersion) -> dict[str, str | None]:
    """What tells a version from another one that was given its number later, as the log keeps it."""
    return {
        "run_id": version.run_id,
        "source": settled(stores.audit.redacted(version.source)),
        "created": settled(version.created),
    }


def artifact_sha256(stores: Stores, version: ModelVersion) -> tuple[str | None, str]:
    """SHA-256 over the artifact's files, or None and why not. Raises Unavailable: that says nothing about it."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            return folder_sha256(stores.models.download(version.key, Path(folder))), ""
        except Unavailable:
            raise
        except CoreError as error:
            return None, str(error)


def _trained(after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if not after.get("model"):
        return {}
    return {str(after["model"]): {name: after[name] for name in ("run_id", "data", "metrics") if name in after}}


def _facts(stores: Stores, version: ModelVersion, run: Run | None) -> dict[str, Any]:
    facts: dict[str, Any] = {**version_identity(stores, version), "stage": version.stage.value}
    facts["marks"] = evidence_tags(stores, version.tags)
    if run is not None:
        facts |= {
            "data": str(run.data) if run.data else None,
            "metrics": settled(dict(run.metrics)),
            "tags": evidence_tags(stores, run.tags),
        }
    return facts


def _late(stores: Stores, run: Run) -> dict[str, str]:
    """Metrics that had been changed after the run's end before anybody looked, with the time."""
    if run.ended is None:
        return {}
    last = {name: max(p.timestamp for p in stores.runs.metric_history(run.run_id, name)) for name in run.metrics}
    return {name: f"{time:%Y-%m-%d %H:%M:%S} UTC" for name, time in sorted(last.items()) if time > run.ended}


def _write(stores: Stores, versions: Mapping[str, Any], aliases: Mapping[str, Any]) -> None:
    stores.audit.append(
        INSPECTOR,
        Action.RECONCILE_READ.value,
        SUBJECT,
        Outcome.SUCCESS,
        reason="noted as it was seen first, to be compared with from now on",
        after={"versions": dict(versions), "aliases": dict(aliases)},
    )
