"""Appraises a model version for a stage: gathers the evidence, asks the gates, fingerprints what was seen."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.audit.canonical_json import canonical, settled
from core.entities import GateResult, ModelVersion, ModelVersionKey, ReadVerdict, Run, RunStatus, Severity, Stage, Task
from core.errors import CoreError, NotFound, Unavailable
from core.features.lineage.provenance import DataSource, data_sources
from core.features.lineage.version_data import data_of, run_of
from core.features.promotion.gates import AllOf, Evidence, passes, policy_for
from core.features.promotion.production_history import evidence_metrics, last_production_decision
from core.features.stores import Stores
from core.learning.artifact_files import folder_sha256
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from core.learning.safety.inspect_model import inspect_model


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a model version is by itself, looked at now; the comparison with Production comes later."""

    version: ModelVersion
    run: Run | None
    run_problem: str | None
    source: DataSource
    verdict: ReadVerdict | None
    artifact: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.run.metrics if self.run else {}

    @property
    def facts(self) -> dict[str, Any]:
        """What is fingerprinted: a request keeps it and every look later is compared with it."""
        return {
            "model_version": str(self.version.key),
            "run_id": self.version.run_id,
            "run_status": self.run.status.value if self.run else self.run_problem,
            "metrics": dict(self.metrics),
            "params": dict(self.run.params) if self.run else {},
            "data": {"table": self.source.table, "version": self.source.version},
            "data_content_sha256": (self.run.tags if self.run else self.version.tags).get("delta.content_sha256"),
            "data_verdict": self.verdict.verdict.value if self.verdict else None,
            "artifact": dict(self.artifact),
        }


@dataclass(frozen=True, kw_only=True)
class GateEvaluation:
    """What the gates saw and said. *fingerprint* is SHA-256 over the candidate's own facts (not Production's).

    When the facts of the candidate change between request and approval (a metric edited after the run, an artifact
    replaced, data gone), so does the fingerprint.
    """

    candidate: Candidate
    production: ModelVersion | None
    seen: Evidence
    policy: AllOf
    gates: tuple[GateResult, ...]
    facts: Mapping[str, Any]

    @property
    def version(self) -> ModelVersion:
        return self.candidate.version

    @property
    def fingerprint(self) -> str:
        return _fingerprint(self.facts["candidate"])

    @property
    def passed(self) -> bool:
        return passes(self.gates)

    @property
    def evidence(self) -> dict[str, Any]:
        """For the request: every fact, and the fingerprint of the candidate's."""
        return {**self.facts, "fingerprint": self.fingerprint}


def read_candidate(stores: Stores, key: ModelVersionKey) -> Candidate:
    """Asks registry, tracking store and data, and hashes the artifact's files; nothing comes from memory.

    Raises ModelVersionNotFound, RegistryUnavailable.
    """
    version = stores.models.version(key)
    run, run_problem = _run(stores, version)
    # A store that does not answer says nothing about the data: only a missing table or version is evidence.
    data = data_of(stores, run, version, tolerated=NotFound)[0]
    return Candidate(
        version=version,
        run=run,
        run_problem=run_problem,
        source=data.source,
        verdict=data.verdict,
        artifact=_artifact(stores, key),
    )


def changed_facts(then: Mapping[str, Any], now: Candidate) -> str | None:
    """Names what of a request's evidence is no longer so; None where all of it still is."""
    facts = now.facts
    if then.get("fingerprint") == _fingerprint(facts):
        return None
    kept = then.get("candidate", {})
    return ", ".join(name for name in facts if kept.get(name) != settled(facts[name])) or "its evidence"


def evaluate_gates(stores: Stores, key: ModelVersionKey, to: Stage) -> GateEvaluation:
    """Asks the gates of the model's policy; it is compared with what serves, else with what served last.

    Raises ModelVersionNotFound, RegistryUnavailable, BadSettings.
    """
    found = read_candidate(stores, key)
    production = stores.models.production(key.model)
    rival = _baseline(stores, key, production)
    evidence = Evidence(
        candidate=str(key),
        stage=found.version.stage,
        to=to,
        metrics=found.metrics,
        production=rival.name if rival else None,
        production_metrics=rival.metrics if rival else {},
        data=found.source.key,
        verdict=found.verdict,
        artifact_format=found.artifact["format"],
        is_artifact_safe=found.artifact["is_safe"],
        run_problem=found.run_problem,
        findings=_high_findings(stores, key),
    )
    policy = policy_for(key.model, to, _task(found.run, found.version), stores.settings.policies)
    facts = {
        "candidate": found.facts,
        "production": {
            "model_version": rival.key if rival else None,
            "serves": rival.serves if rival else False,
            "metrics": dict(evidence.production_metrics),
            "data": rival.data if rival else None,
        },
    }
    return GateEvaluation(
        candidate=found,
        production=production,
        seen=evidence,
        policy=policy,
        gates=policy.check(evidence),
        facts=facts,
    )


@dataclass(frozen=True, kw_only=True)
class _Baseline:
    """What the candidate has to stand beside: the version that serves, or the one that served last."""

    key: str
    serves: bool
    metrics: Mapping[str, float]
    data: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        return self.key if self.serves else f"{self.key} (served last)"


def _baseline(stores: Stores, key: ModelVersionKey, production: ModelVersion | None) -> _Baseline | None:
    """None where nothing ever served, or only the candidate itself."""
    if production is not None:
        if production.version == key.version:
            return None
        run = _run(stores, production)[0]
        return _Baseline(
            key=str(production.key),
            serves=True,
            metrics=run.metrics if run else {},
            data=_data_of(run, production),
        )
    # Who takes Production away first does not escape the comparison.
    last = last_production_decision(stores, key.model)
    if last is None or last.version == key.version:
        return None
    data = last.evidence.get("candidate", {}).get("data")
    return _Baseline(key=str(last.key), serves=False, metrics=evidence_metrics(last), data=data)


def _high_findings(stores: Stores, key: ModelVersionKey) -> tuple[str, ...]:
    """Those that are open about the version, unless the last pass saw that it is so no more."""
    return tuple(
        f"{one.kind} (finding {one.id})"
        for one in stores.findings.list()
        if one.subject == str(key) and one.severity is Severity.HIGH and one.gone is None
    )


def _fingerprint(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def _run(stores: Stores, version: ModelVersion) -> tuple[Run | None, str | None]:
    """The run behind a version, and what is wrong with it."""
    if not version.run_id:
        return None, f"{version.key} names no run, so nothing shows how it was made."
    run = run_of(stores, version)
    if run is None:
        return None, f"Run {version.run_id} of {version.key} does not exist."
    if run.is_deleted:
        return run, f"Run {run.run_id} of {version.key} was deleted."
    if run.status is not RunStatus.FINISHED:
        return run, f"Run {run.run_id} of {version.key} is {run.status.value}, not finished."
    return run, None


def _artifact(stores: Stores, key: ModelVersionKey) -> dict[str, Any]:
    """Format, safety and SHA-256 over the artifact's files; a fault is recorded and fails the gate."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            model = stores.models.download(key, Path(folder))
            info = inspect_model(model)
        except Unavailable:
            raise  # a registry that does not answer says nothing about the artifact
        except CoreError as error:
            why = str(error).replace(folder, "the artifact")  # another folder at the next look is no change
            return {"format": "unreadable", "is_safe": False, "why": why, "sha256": None}
        return {"format": info.format, "is_safe": info.is_safe, "why": info.why, "sha256": folder_sha256(model)}


def _task(run: Run | None, version: ModelVersion) -> Task | None:
    """As its training said, else told from the KPIs that the run logged; None where nothing tells."""
    said = version.tags.get("task") or (run.tags.get("task") if run else None)
    if said in [task.value for task in Task]:
        return Task(said)
    logged = set(run.metrics) if run else set()
    if logged & set(CLASSIFICATION_METRICS):
        return Task.CLASSIFICATION
    return Task.REGRESSION if logged & set(REGRESSION_METRICS) else None


def _data_of(run: Run | None, version: ModelVersion) -> dict[str, Any]:
    source = data_sources(run, version)[0]
    return {"table": source.table, "version": source.version}
