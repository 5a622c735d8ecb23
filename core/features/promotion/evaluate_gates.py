"""Evaluates a model version for a stage: collects the evidence, runs the gates, and hashes what they saw."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.audit.canonical_json import canonical, settled
from core.entities import (
    DataSource,
    Event,
    GateResult,
    Identity,
    ModelVersion,
    ModelVersionKey,
    ReadVerdict,
    Run,
    RunStatus,
    Severity,
    Stage,
    Task,
)
from core.errors import CoreError, NotFound, Unavailable
from core.features.head_to_head.head_to_head import comparisons_of
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import DataView, data_of, run_of, view_content
from core.features.promotion.fair_gates import HeadToHeadGate
from core.features.promotion.gate_evidence import Evidence
from core.features.promotion.gates import DataReadable, passes
from core.features.promotion.policy import AllOf, policy_for
from core.features.promotion.production_history import evidence_metrics, last_production_decision
from core.features.runs.version_metrics import VersionMetrics, metrics_of_version, test_rows_of
from core.features.stores import Stores
from core.features.takeover.acceptances import find_acceptance
from core.learning.artifact_files import folder_sha256
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from core.learning.safety.inspect_model import inspect_model
from core.texts import text


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The present facts of a model version, without the comparison with Production.

    *data* is all its training data; *source* and *verdict* are the most trusted of it.
    """

    version: ModelVersion
    run: Run | None
    measured: VersionMetrics
    run_problem: str | None
    data: tuple[DataView, ...]
    source: DataSource
    verdict: ReadVerdict | None
    artifact: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.measured.values

    @property
    def facts(self) -> dict[str, Any]:
        """The facts that the fingerprint covers. A request keeps them, and later facts are compared with them."""
        facts: dict[str, Any] = {
            "model_version": str(self.version.key),
            "run_id": self.version.run_id,
            "run_status": self.run.status.value if self.run else self.run_problem,
            "metrics": dict(self.metrics),
            "params": dict(self.measured.params),
            "data": {"table": self.source.table, "version": self.source.version},
            "data_content_sha256": (self.run.tags if self.run else self.version.tags).get("delta.content_sha256"),
            "data_verdict": self.verdict.verdict.value if self.verdict else None,
            "artifact": dict(self.artifact),
        }
        if replaced := [str(view.source) for view in self.data if view.is_other_data]:
            facts["data_replaced"] = replaced
        return facts


@dataclass(frozen=True, kw_only=True)
class GateEvaluation:
    """The evidence and the results of the gates. *fingerprint* is a SHA-256 over the facts of the candidate alone.

    The fingerprint changes when a fact of the candidate changes between request and approval: a metric edited after
    the run, an artifact replaced, data deleted.
    """

    candidate: Candidate
    production: ModelVersion | None
    gate_evidence: Evidence
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
        """All facts and the fingerprint, as a request keeps them."""
        return {**self.facts, "fingerprint": self.fingerprint}


def read_candidate(stores: Stores, key: ModelVersionKey, *, artifact: Mapping[str, Any] | None = None) -> Candidate:
    """Read the facts of a model version from registry, tracking store and data, and hash its files. Uses no cache.

    With *artifact*, the facts of the files as they were read before, the files are not read.

    Raises:
        ModelVersionNotFound, RegistryUnavailable.
    """
    version = stores.models.version(key)
    run, run_problem = _run(stores, version)
    # A store that does not answer says nothing about the data: only a missing table or version is evidence.
    data = tuple(view for view in data_of(stores, run, version, tolerated=NotFound) if view.source.is_training)
    return Candidate(
        version=version,
        run=run,
        measured=metrics_of_version(stores, version, run),
        run_problem=run_problem,
        data=data,
        source=data[0].source,
        verdict=data[0].verdict,
        artifact=_artifact(stores, key) if artifact is None else artifact,
    )


def changed_facts(evidence: Mapping[str, Any], candidate: Candidate) -> str | None:
    """Return the names of the facts that differ from a request's *evidence*, or None where none does."""
    facts = candidate.facts
    if evidence.get("fingerprint") == _fingerprint(facts):
        return None
    recorded = evidence.get("candidate", {})
    return ", ".join(name for name in facts if recorded.get(name) != settled(facts[name])) or "evidence"


def evaluate_gates(
    stores: Stores, key: ModelVersionKey, to: Stage, *, artifact: Mapping[str, Any] | None = None
) -> GateEvaluation:
    """Run the gates of the model's policy. The baseline is the version in Production, else the last one there.

    *artifact* is as in `read_candidate`.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, BadSettings.
    """
    candidate = read_candidate(stores, key, artifact=artifact)
    production = stores.models.production(key.model)
    baseline = _baseline(stores, key, production)
    policy = policy_for(key.model, to, _task(candidate), stores.settings.policies)
    comparisons = _comparisons(stores, candidate, baseline) if _compares(policy) else ()
    evidence = Evidence(
        candidate=str(key),
        stage=candidate.version.stage,
        to=to,
        metrics=candidate.metrics,
        run_only=candidate.measured.run_only,
        production=baseline.name if baseline else None,
        production_metrics=baseline.metrics if baseline else {},
        data=candidate.source.key,
        verdict=candidate.verdict,
        data_problem=_data_problem(candidate.data),
        unreadable=_unreadable(candidate.data[1:]),
        identities=_identities(stores, candidate, policy),
        artifact_format=candidate.artifact["format"],
        is_artifact_safe=candidate.artifact["is_safe"],
        run_problem=candidate.run_problem,
        findings=_high_findings(stores, key),
        production_key=baseline.key if baseline else None,
        comparisons=tuple(comparison.after for comparison in comparisons),
        test_rows=test_rows_of(candidate.facts["data"], candidate.measured.params),
        production_test_rows=test_rows_of(baseline.data, baseline.params) if baseline else None,
    )
    facts = {
        "candidate": candidate.facts,
        "production": {
            "model_version": baseline.key if baseline else None,
            "serves": baseline.serves if baseline else False,
            "metrics": dict(evidence.production_metrics),
            "data": baseline.data if baseline else None,
        },
        "comparisons": [comparison.sequence for comparison in comparisons],
    }
    return GateEvaluation(
        candidate=candidate,
        production=production,
        gate_evidence=evidence,
        policy=policy,
        gates=policy.check(evidence),
        facts=facts,
    )


def _identities(stores: Stores, candidate: Candidate, policy: AllOf) -> tuple[Identity, ...]:
    """The identities of the training data, with the content of the rows where a gate of *policy* asks for it."""
    data = candidate.data
    if any(isinstance(gate, DataReadable) and gate.check_content for gate in policy.gates):
        data = tuple(view_content(stores, view, tolerated=NotFound) for view in data)
    return tuple(view.identity for view in data if view.identity is not None)


@dataclass(frozen=True, kw_only=True)
class _Baseline:
    """The version that the candidate is compared with: the one in Production, or the last one there."""

    key: str
    serves: bool
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    data: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        return self.key if self.serves else text("{version} (last in Production)", version=self.key)


def _baseline(stores: Stores, key: ModelVersionKey, production: ModelVersion | None) -> _Baseline | None:
    """None where no version was ever in Production, or only the candidate."""
    if production is not None:
        if production.version == key.version:
            return None
        run = _run(stores, production)[0]
        measured = metrics_of_version(stores, production, run)
        return _Baseline(
            key=str(production.key),
            serves=True,
            metrics=measured.values,
            params=measured.params,
            data=_data_of(stores, run, production),
        )
    # Archiving the version in Production first must not avoid the comparison.
    last = last_production_decision(stores, key.model)
    if last is None:
        return _accepted_baseline(stores, key)
    if last.version == key.version:
        return None
    facts = last.evidence.get("candidate", {})
    return _Baseline(
        key=str(last.key),
        serves=False,
        metrics=evidence_metrics(last),
        params=facts.get("params", {}),
        data=facts.get("data"),
    )


def _accepted_baseline(stores: Stores, key: ModelVersionKey) -> _Baseline | None:
    """The version that was in Production when the state of the model was accepted as found."""
    accepted = find_acceptance(stores, key.model)
    if accepted is None or accepted.production is None or accepted.production == key.version:
        return None
    facts = accepted.in_production[accepted.production]
    table, _, number = (facts["data"] or "").rpartition("@")
    return _Baseline(
        key=str(ModelVersionKey(model=key.model, version=accepted.production)),
        serves=False,
        metrics={name: float(value) for name, value in facts["metrics"].items()},
        params={},
        data={"table": table or None, "version": int(number) if number else None},
    )


def _compares(policy: AllOf) -> bool:
    return any(isinstance(gate, HeadToHeadGate) for gate in policy.gates)


def _comparisons(stores: Stores, candidate: Candidate, baseline: _Baseline | None) -> tuple[Event, ...]:
    """Return the comparisons with the baseline in which the candidate had its present files, newest first."""
    if baseline is None:
        return ()
    key = str(candidate.version.key)
    return tuple(
        event
        for event in comparisons_of(stores, candidate.version.key)
        if event.after["first"] == baseline.key and event.after["artifacts"][key] == candidate.artifact["sha256"]
    )


def _high_findings(stores: Stores, key: ModelVersionKey) -> tuple[str, ...]:
    """The open findings about the version, without those whose cause the last inspection no longer saw."""
    return tuple(
        text("{kind} (finding {finding_id})", kind=finding.kind, finding_id=finding.id)
        for finding in stores.findings.list()
        if finding.subject == str(key) and finding.severity is Severity.HIGH and finding.gone is None
    )


def _fingerprint(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(facts).encode()).hexdigest()


def _run(stores: Stores, version: ModelVersion) -> tuple[Run | None, str | None]:
    """The run of a version, and what is wrong with the run."""
    key = str(version.key)
    if not version.run_id:
        return None, text("{version} records no run, so its training is unknown.", version=key)
    run = run_of(stores, version)
    if run is None:
        return None, text("Run {run_id} of {version} does not exist.", run_id=version.run_id, version=key)
    if run.is_deleted:
        return run, text("Run {run_id} of {version} was deleted.", run_id=run.run_id, version=key)
    if run.status is not RunStatus.FINISHED:
        return run, text(
            "Run {run_id} of {version} has the status {status}. Only a finished run counts.",
            run_id=run.run_id,
            version=key,
            status=run.status.value,
        )
    return run, None


def _artifact(stores: Stores, key: ModelVersionKey) -> dict[str, Any]:
    """Format, safety and SHA-256 of the artifact. An artifact that cannot be read fails its gate."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        try:
            model = stores.models.download(key, Path(folder))
            info = inspect_model(model)
        except Unavailable:
            raise  # an outage of the registry says nothing about the artifact
        except CoreError as error:
            why = str(error).replace(folder, "the artifact")  # the folder is another one each time
            return {"format": "unreadable", "is_safe": False, "why": why, "sha256": None}
        return {"format": info.format, "is_safe": info.is_safe, "why": info.why, "sha256": folder_sha256(model)}


def _task(candidate: Candidate) -> Task | None:
    """The task from the tag of the training, else inferred from the logged KPIs; None where neither gives it."""
    tag = candidate.version.tags.get("task") or (candidate.run.tags.get("task") if candidate.run else None)
    if tag in [task.value for task in Task]:
        return Task(tag)
    logged = set(candidate.metrics) | set(candidate.measured.run_only)
    if logged & set(CLASSIFICATION_METRICS):
        return Task.CLASSIFICATION
    return Task.REGRESSION if logged & set(REGRESSION_METRICS) else None


def _data_of(stores: Stores, run: Run | None, version: ModelVersion) -> dict[str, Any]:
    source = data_sources(stores, run, version)[0]
    return {"table": source.table, "version": source.version}


def _data_problem(data: tuple[DataView, ...]) -> str | None:
    """Return why training data is unknown. Beside known data only a claimed version of an unknown table counts."""
    unknown = [view for view in data if view.source.key is None]
    if len(unknown) < len(data):
        unknown = [view for view in unknown if view.source.version is not None]
    return unknown[0].problem if unknown else None


def _unreadable(data: tuple[DataView, ...]) -> str | None:
    """Return which further training data cannot be read, and why."""
    reasons = (
        text("{data}: {reason}", data=str(view.source.key), reason=view.why_unreadable)
        for view in data
        if view.source.key is not None and view.why_unreadable is not None
    )
    return next(reasons, None)
