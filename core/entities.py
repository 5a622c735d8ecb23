"""All nouns of ModelLedger: frozen, keyword-only dataclasses over the standard library.

Times are aware and in UTC. A missing number is None, never a guess. Each noun stores only the key of
the one before it: Commit -> Run -> ModelVersion -> PromotionRequest (decision) -> PredictionBatch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

# --------------------------------------------------------------------------------------------- people


class Role(str, Enum):
    """The four roles. A person may hold several."""

    AUDITOR = "auditor"
    SCIENTIST = "scientist"
    MANAGER = "manager"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts. *channel* tells how: "page", "cli", "worker", "token ID"; *token* is that id, for jobs too."""

    name: str
    roles: frozenset[Role]
    channel: str = "cli"
    token: str | None = None


class TokenState(str, Enum):
    """What a token is worth at a moment."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a person or a machine acts by on the command line; its text is shown once and kept nowhere."""

    id: str
    name: str
    role: Role
    issued_by: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> TokenState:
        """What was taken away stays so, also when its time is over."""
        if self.revoked is not None:
            return TokenState.REVOKED
        return TokenState.VALID if now < self.expires else TokenState.EXPIRED


# ----------------------------------------------------------------------------------------------- data


@dataclass(frozen=True, kw_only=True)
class Table:
    """A Delta table: the name people use and where it lies (path, URI or catalog name)."""

    name: str
    uri: str


@dataclass(frozen=True, kw_only=True)
class TableVersion:
    """The key of a pinned table version, written TABLE@N. Version 0 is a version."""

    table: str
    version: int

    def __str__(self) -> str:
        return f"{self.table}@{self.version}"


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column as the Delta schema names it; *type* is Delta's own word ("double", "array<string>")."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of a Delta log.

    *operation*, *user*, *engine* and *metadata* are what the writer claimed; nobody checks them.
    Row counts are None where the writer did not report them.
    """

    table: str
    version: int
    timestamp: datetime
    operation: str
    user: str | None = None
    rows_added: int | None = None
    rows_removed: int | None = None
    files_added: int = 0
    files_removed: int = 0
    engine: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> TableVersion:
        return TableVersion(table=self.table, version=self.version)

    @property
    def claimed_by(self) -> str | None:
        """Who says to have written it: the log's own user, else the actor that ModelLedger noted in the metadata."""
        noted = self.metadata.get("modelledger.actor")
        return self.user or (str(noted) if noted else None)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A table as it stood at one version, from the log alone (no data file is read).

    *rows* is None unless every file has statistics and none a deletion vector.
    """

    table: str
    table_id: str
    version: int
    timestamp: datetime
    rows: int | None
    files: int
    size_bytes: int
    schema: tuple[Field, ...]
    partition_columns: tuple[str, ...] = ()
    features: tuple[str, ...] = ()


class Readability(str, Enum):
    """Whether a version's rows can still be shown, and how they were lost if not."""

    READABLE = "readable"
    FILES_VACUUMED = "files vacuumed"
    LOG_EXPIRED = "log expired"
    REFUSED = "engine refuses"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class ReadVerdict:
    """The proof that a version is (or is not) readable: the log opens and every data file exists."""

    verdict: Readability
    reason: str

    @property
    def is_readable(self) -> bool:
        return self.verdict is Readability.READABLE


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class TableDiff:
    """What differs between version *before* and *after* of a table.

    Without a key a changed row counts once as removed and once as added, and *rows_changed* is None.
    """

    table: str
    before: int
    after: int
    fields_added: tuple[Field, ...]
    fields_removed: tuple[Field, ...]
    fields_changed: tuple[FieldChange, ...]
    rows_added: int
    rows_removed: int
    rows_changed: int | None = None


# ----------------------------------------------------------------------------------------------- runs


class RunStatus(str, Enum):
    """MLflow's words."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One MLflow run. *metrics* keep NaN and infinities as floats. *data* is None where no data version was logged."""

    run_id: str
    name: str
    experiment: str
    status: RunStatus
    started: datetime | None
    ended: datetime | None
    user: str | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    data: TableVersion | None
    is_deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    value: float
    timestamp: datetime
    step: int


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file below a run's or model's artifacts; *size_bytes* is None for a folder."""

    path: str
    is_folder: bool
    size_bytes: int | None


# --------------------------------------------------------------------------------------------- models


class Stage(str, Enum):
    NONE = "None"
    STAGING = "Staging"
    PRODUCTION = "Production"
    ARCHIVED = "Archived"


@dataclass(frozen=True, kw_only=True)
class ModelVersionKey:
    """The key of a model version, written MODEL/N."""

    model: str
    version: int

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A registered model version. *run_id* may name a run that was deleted or never existed."""

    model: str
    version: int
    stage: Stage
    run_id: str | None
    source: str | None
    created: datetime
    updated: datetime
    description: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...] = ()

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)

    @property
    def data(self) -> TableVersion | None:
        """The data version as stamped on the model version itself (tags delta.table, delta.version)."""
        table, version = self.tags.get("delta.table"), self.tags.get("delta.version", "")
        return TableVersion(table=table, version=int(version)) if table and version.isdigit() else None


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    name: str
    description: str
    created: datetime
    updated: datetime
    tags: Mapping[str, str]


# ------------------------------------------------------------------------------------------- learning


class Task(str, Enum):
    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is made from a table: target, features, estimator and its parameters.

    *estimator* is a name of learning.estimators; empty *features* means every column but the target.
    """

    name: str
    model: str
    task: Task
    table: str
    target: str
    estimator: str
    features: tuple[str, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    test_fraction: float = 0.3
    seed: int = 0
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What one training left behind."""

    run_id: str
    model: ModelVersionKey
    data: TableVersion
    params: Mapping[str, str]
    metrics: Mapping[str, float]


# ------------------------------------------------------------------------------------------ decisions


@dataclass(frozen=True, kw_only=True)
class GateResult:
    """One gate's verdict with its numbers in *detail*, ready to be read by a person."""

    name: str
    passed: bool
    detail: str


class RequestStatus(str, Enum):
    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNFINISHED = "unfinished"


class RequestKind(str, Enum):
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True, kw_only=True)
class PromotionRequest:
    """A request to move a model version to a stage, and what was decided on it.

    *stages* are the stages of all versions after the decision took effect; empty while undecided.
    *intended* are the stage changes that an approval set out to make (kept for reconcile).
    *evidence* is what the gates saw (metrics of both versions, data readability, hashes).
    """

    id: str
    kind: RequestKind
    model: str
    version: int
    to: Stage
    status: RequestStatus
    gates: tuple[GateResult, ...]
    requested_by: str
    requested_at: datetime
    request_reason: str
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    intended: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    previous: int | None = None

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.version)


@dataclass(frozen=True, kw_only=True)
class Approval:
    """One person's yes to a request; a policy may ask for several before it is carried out."""

    request_id: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One place where the registry and the decisions disagree, or an action that never finished."""

    kind: str
    subject: str
    expected: str
    found: str
    detail: str
    request_id: str | None = None


class Severity(str, Enum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Reproduced(str, Enum):
    """How a model version came out when it was made again from its data version and its parameters."""

    REPRODUCED = "reproduced"
    WITHIN_TOLERANCE = "within tolerance"
    DIVERGED = "diverged"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """A model version made again. Nothing of it is kept but this, in the audit log.

    *metrics* maps each KPI to what its run logged and what came out again; *answers* counts the test rows that the
    stored model and the new one answer alike, of how many; *changed* names what is not as it was: packages, code.
    """

    model: ModelVersionKey
    verdict: Reproduced
    why: str
    data: TableVersion | None = None
    metrics: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    answers: tuple[int, int] | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that somebody has to look into: found by a pass over the registry, or opened by an auditor.

    *last_seen* is when the pass saw it last, *gone* since when it sees it no more; it stays open until a person closes
    it with a reason.
    """

    id: str
    kind: str
    subject: str
    severity: Severity
    owner: str
    due: datetime
    expected: str
    found: str
    detail: str
    opened_by: str
    opened_at: datetime
    last_seen: datetime
    closed_by: str | None = None
    closed_at: datetime | None = None
    reason: str | None = None
    gone: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.closed_at is None

    def is_overdue(self, now: datetime) -> bool:
        return self.is_open and self.due < now


@dataclass(frozen=True, kw_only=True)
class Look:
    """One whole pass that looked for findings: when it ended, who asked for it, how much it saw and what was new."""

    at: datetime
    by: str
    seen: int
    new: int


# ---------------------------------------------------------------------------------------- predictions


@dataclass(frozen=True, kw_only=True)
class PredictionBatch:
    """One scoring: which model version read which data version, and where the rows went."""

    batch_id: str
    model: str
    model_version: int
    run_id: str | None
    source: TableVersion
    into: TableVersion
    rows: int
    time: datetime
    actor: str

    @property
    def key(self) -> ModelVersionKey:
        return ModelVersionKey(model=self.model, version=self.model_version)


# ---------------------------------------------------------------------------------------------- audit


class Outcome(str, Enum):
    INTENT = "intent"
    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of the audit log. *hash* is SHA-256 over the canonical JSON of everything else, *previous* included.

    *operation* joins the intent of an action with its outcome.
    """

    sequence: int
    time: datetime
    actor: str
    role: str
    channel: str
    action: str
    subject: str
    outcome: Outcome
    reason: str
    operation: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True)
class ChainVerdict:
    """Whether the chain holds; *first_broken* is the sequence number of the first event that does not."""

    ok: bool
    events: int
    first_broken: int | None
    detail: str
    head: str


# ----------------------------------------------------------------------------------------------- jobs


class JobStatus(str, Enum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"

    @property
    def is_over(self) -> bool:
        return self in (JobStatus.FINISHED, JobStatus.FAILED, JobStatus.KILLED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """Long work: a row in the job table, done by a worker process.

    *progress* runs from 0 to 1. *heartbeat* is the worker's last sign of life.
    """

    id: str
    kind: str
    arguments: Mapping[str, Any]
    status: JobStatus
    actor: str
    role: str
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    heartbeat: datetime | None = None
    progress: float = 0.0
    step: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    attempt: int = 0
    cancel_requested: bool = False
    trigger_id: str | None = None
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class JobLine:
    """One line of a job's log."""

    job_id: str
    number: int
    time: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Trigger:
    """When to retrain without a person: by a cron line (UTC), or whenever a table gets a new data version."""

    id: str
    kind: str
    job_kind: str
    arguments: Mapping[str, Any]
    actor: str
    role: str
    created: datetime
    cron: str | None = None
    table: str | None = None
    enabled: bool = True
    last_fired: datetime | None = None
    last_seen_version: int | None = None
    next_due: datetime | None = None
    token: str | None = None


# -------------------------------------------------------------------------------------------- lineage


class NodeKind(str, Enum):
    COMMIT = "commit"
    RUN = "run"
    CODE = "code"
    MODEL = "model"
    DECISION = "decision"
    BATCH = "batch"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One noun in a lineage graph. *id* is unique in the graph; *subject* is what audit and links call it."""

    id: str
    kind: NodeKind
    label: str
    subject: str
    detail: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Edge:
    source: str
    target: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A directed graph from data to predictions; *root* is the node that was asked for."""

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
