"""Appraises a model version for a stage: gathers the evidence, asks the gates, fingerprints what was seen."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.audit.canonical import canonical
from core.entities import GateResult, ModelVersion, ModelVersionKey, ReadVerdict, Run, RunStatus, Stage, Task
from core.errors import CoreError, NotFound, Unavailable
from core.gates import Evidence, passes, policy_for
from core.learning.artifacts import inspect_model
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from core.services.provenance import data_sources
from core.services.stores import Stores


@dataclass(frozen=True, kw_only=True)
class Appraisal:
    """What the gates saw and said. *fingerprint* is SHA-256 over the candidate's own facts (not Production's).

    When the facts of the candidate change between request and approval (a metric edited after the run, an artifact
    replaced, data gone), so does the fingerprint.
    """

    version: ModelVersion
    production: ModelVersion | None
    seen: Evidence
    gates: tuple[GateResult, ...]
    facts: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(canonical(self.facts["candidate"]).encode()).hexdigest()

    @property
    def passed(self) -> bool:
        return passes(self.gates)

    @property
    def evidence(self) -> dict[str, Any]:
        """For the request: every fact, and the fingerprint of the candidate's."""
        return {**self.facts, "fingerprint": self.fingerprint}


def appraise(stores: Stores, key: ModelVersionKey, to: Stage) -> Appraisal:
    """Raises ModelVersionNotFound, RegistryUnavailable, BadSettings."""
    version = stores.models.version(key)
    run, run_problem = _run(stores, version)
    production = stores.models.production(key.model)
    serving = production if production and production.version != key.version else None
    rival = _run(stores, serving)[0] if serving else None
    source = data_sources(run, version)[0]
    verdict = _verdict(stores, source.table, source.version)
    artifact = _artifact(stores, key)
    evidence = Evidence(
        candidate=str(key),
        stage=version.stage,
        to=to,
        metrics=run.metrics if run else {},
        production=str(serving.key) if serving else None,
        production_metrics=rival.metrics if rival else {},
        data=source.key,
        verdict=verdict,
        artifact_format=artifact["format"],
        is_artifact_safe=artifact["is_safe"],
        run_problem=run_problem,
    )
    policy = policy_for(key.model, to, _task(run, version), stores.settings.policies)
    facts = {
        "candidate": {
            "model_version": str(key),
            "run_id": version.run_id,
            "run_status": run.status.value if run else run_problem,
            "metrics": dict(evidence.metrics),
            "params": dict(run.params) if run else {},
            "data": {"table": source.table, "version": source.version},
            "data_content_sha256": (run.tags if run else version.tags).get("delta.content_sha256"),
            "data_verdict": verdict.verdict.value if verdict else None,
            "artifact": artifact,
        },
        "production": {
            "model_version": evidence.production,
            "metrics": dict(evidence.production_metrics),
            "data": _data_of(rival, serving),
        },
    }
    return Appraisal(version=version, production=production, seen=evidence, gates=policy.check(evidence), facts=facts)


def _run(stores: Stores, version: ModelVersion) -> tuple[Run | None, str | None]:
    """The run behind a version, and what is wrong with it."""
    if not version.run_id:
        return None, f"{version.key} names no run, so nothing shows how it was made."
    run = stores.runs.get_many([version.run_id], fresh=True).get(version.run_id)
    if run is None:
        try:
            run = stores.runs.get(version.run_id)
        except NotFound:
            return None, f"Run {version.run_id} of {version.key} does not exist."
    if run.is_deleted:
        return run, f"Run {run.run_id} of {version.key} was deleted."
    if run.status is not RunStatus.FINISHED:
        return run, f"Run {run.run_id} of {version.key} is {run.status.value}, not finished."
    return run, None


def _verdict(stores: Stores, table: str | None, version: int | None) -> ReadVerdict | None:
    if table is None or version is None:
        return None
    try:
        return stores.engine.readable(stores.catalog.resolve(table), version)
    except NotFound:
        return None


def _artifact(stores: Stores, key: ModelVersionKey) -> dict[str, Any]:
    """Format, safety and SHA-256 over the artifact's files; a fault is recorded and fails the gate."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            model = stores.models.download(key, Path(folder))
            info = inspect_model(model)
        except Unavailable:
            raise  # a registry that does not answer says nothing about the artifact
        except CoreError as error:
            return {"format": "unreadable", "is_safe": False, "why": str(error), "sha256": None}
        return {"format": info.format, "is_safe": info.is_safe, "why": info.why, "sha256": folder_sha256(model)}


def folder_sha256(folder: Path) -> str:
    """SHA-256 over the files below *folder*: relative path and SHA-256 of each, sorted by path."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        with file.open("rb") as content:
            inner = hashlib.file_digest(content, "sha256").hexdigest()
        digest.update(f"{file.relative_to(folder).as_posix()}\0{inner}\n".encode())
    return digest.hexdigest()


def _task(run: Run | None, version: ModelVersion) -> Task | None:
    """As its training said, else told from the KPIs that the run logged; None where nothing tells."""
    said = version.tags.get("task") or (run.tags.get("task") if run else None)
    if said in [task.value for task in Task]:
        return Task(said)
    logged = set(run.metrics) if run else set()
    if logged & set(CLASSIFICATION_METRICS):
        return Task.CLASSIFICATION
    return Task.REGRESSION if logged & set(REGRESSION_METRICS) else None


def _data_of(run: Run | None, version: ModelVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    source = data_sources(run, version)[0]
    return {"table": source.table, "version": source.version}
