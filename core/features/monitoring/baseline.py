"""The baseline: what our log knows of each model version, from its training or from the first inspection that saw it.

Later inspections compare the registry with the baseline. The baseline is in the audit log, where a change is detected.
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

# The actor of an inspection. It may read and open findings, nothing else.
INSPECTOR = Actor(name="modelledger", roles=frozenset({Role.AUDITOR}), channel="worker")
SUBJECT = "registry"

_ENDED = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)
# Notes and names for people, and the stage: they change for good reasons, and the stage is compared elsewhere.
_NOT_EVIDENCE = {"mlflow.note.content", "mlflow.runName", "mlflow.log-model.history", "stage"}
_MAX_TAG_LENGTH = 300
_VERSIONS_PER_EVENT = 100


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The recorded facts by model version, and by model the version of each alias.

    Facts of the version: run_id, source, created, stage, marks (its tags), artifact (SHA-256), approved_by. Facts of
    its run: data, metrics, tags, late (metrics changed after the end of the run). A fact that was never recorded is
    missing, which differs from None.
    """

    versions: Mapping[str, Mapping[str, Any]]
    aliases: Mapping[str, Mapping[str, int]]

    def of(self, version: ModelVersion) -> Mapping[str, Any]:
        return self.versions.get(str(version.key), {})


def read_baseline(stores: Stores) -> Baseline:
    """Read the baseline from the log. The first record of a fact counts; for artifacts, the last approval."""
    trainings = stores.audit.search(action=Action.RUN_TRAIN.value, outcome=Outcome.SUCCESS.value, limit=None)
    inspections = stores.audit.search(
        action=Action.RECONCILE_READ.value, subject=SUBJECT, outcome=Outcome.SUCCESS.value, limit=None
    )
    versions: dict[str, dict[str, Any]] = {}
    aliases: dict[str, Mapping[str, int]] = {}
    for event in sorted((*trainings, *inspections), key=lambda event: event.sequence):
        is_inspection = event.action == Action.RECONCILE_READ.value
        recorded = event.after.get("versions") if is_inspection else _training_facts(event.after)
        for name, facts in (recorded or {}).items():
            versions[name] = dict(ChainMap(versions.get(name, {}), facts))
        for model, versions_by_alias in (event.after.get("aliases") or {}).items():
            aliases.setdefault(model, versions_by_alias)
    requests = sorted(stores.decisions.list(), key=lambda r: (r.status is RequestStatus.APPROVED, r.requested_at))
    for request in requests:
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
    stores: Stores,
    versions: Sequence[ModelVersion],
    runs: Mapping[str, Run],
    baseline: Baseline,
    closely: Iterable[str],
) -> Baseline:
    """Record the facts that are missing in *baseline*; for the versions named in *closely* also the artifact.

    A version whose run has not ended is left for a later inspection.
    """
    with_artifact = set(closely)
    new: dict[str, dict[str, Any]] = {}
    for version in versions:
        run = runs.get(version.run_id or "")
        if run is not None and run.status not in _ENDED:
            continue
        facts = _facts(stores, version, run)
        if str(version.key) in with_artifact and "artifact" not in baseline.of(version):
            facts["artifact"] = artifact_sha256(stores, version)[0]
            if run is not None and "metrics" not in baseline.of(version):
                facts["late"] = _late_metrics(stores, run)
        missing = {name: value for name, value in facts.items() if name not in baseline.of(version)}
        if missing:
            new[str(version.key)] = missing
    aliases = {model: by_alias for model, by_alias in aliases_of(versions).items() if model not in baseline.aliases}
    names = list(new)
    for start in range(0, len(names), _VERSIONS_PER_EVENT):
        _record(stores, {name: new[name] for name in names[start : start + _VERSIONS_PER_EVENT]}, {})
    if aliases:
        _record(stores, {}, aliases)
    return read_baseline(stores) if new or aliases else baseline


def aliases_of(versions: Iterable[ModelVersion]) -> dict[str, dict[str, int]]:
    """Return, by model, the version number of each alias."""
    aliases: dict[str, dict[str, int]] = {}
    for version in versions:
        aliases.setdefault(version.model, {}).update(dict.fromkeys(version.aliases, version.version))
    return aliases


def evidence_tags(stores: Stores, tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that count as evidence, as the log keeps them. A long value becomes its SHA-256."""
    return {
        name: value if len(value) <= _MAX_TAG_LENGTH else f"SHA-256 {hashlib.sha256(value.encode()).hexdigest()}"
        for name, value in sorted(settled(stores.audit.redacted(dict(tags))).items())
        if name not in _NOT_EVIDENCE
    }


def version_identity(stores: Stores, version: ModelVersion) -> dict[str, str | None]:
    """Return the facts that distinguish a version from a later one under the same number, as the log keeps them."""
    return {
        "run_id": version.run_id,
        "source": settled(stores.audit.redacted(version.source)),
        "created": settled(version.created),
    }


def artifact_sha256(stores: Stores, version: ModelVersion) -> tuple[str | None, str]:
    """Return the SHA-256 over the artifact's files, or None and the reason.

    Raises:
        Unavailable: an outage says nothing about the artifact.
    """
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            return folder_sha256(stores.models.download(version.key, Path(folder))), ""
        except Unavailable:
            raise
        except CoreError as error:
            return None, str(error)


def _training_facts(after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
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


def _late_metrics(stores: Stores, run: Run) -> dict[str, str]:
    """The metrics that were changed after the end of the run and before the first inspection, with the time."""
    if run.ended is None:
        return {}
    changed_at = {name: max(p.timestamp for p in stores.runs.metric_history(run.run_id, name)) for name in run.metrics}
    return {name: f"{time:%Y-%m-%d %H:%M:%S} UTC" for name, time in sorted(changed_at.items()) if time > run.ended}


def _record(stores: Stores, versions: Mapping[str, Any], aliases: Mapping[str, Any]) -> None:
    stores.audit.append(
        INSPECTOR,
        Action.RECONCILE_READ.value,
        SUBJECT,
        Outcome.SUCCESS,
        reason="recorded at first sight; later inspections compare with these facts",
        after={"versions": dict(versions), "aliases": dict(aliases)},
    )
