"""The entities of ModelLedger: frozen, keyword-only dataclasses; one file for each kind.

Times are aware and in UTC. A missing number is None, never a guess. Each entity stores only
the key of the entity before it: Commit -> Run -> ModelVersion -> PromotionRequest (decision) -> PredictionBatch.
"""

from core.entities.audit import ChainVerdict, Event, Outcome, TamperedRow
from core.entities.claims import DataSource, DataUse
from core.entities.data import (
    Commit,
    CommitDetails,
    Field,
    FieldChange,
    Readability,
    ReadVerdict,
    Snapshot,
    Table,
    TableDiff,
    TableVersion,
)
from core.entities.decisions import (
    Approval,
    GateCheck,
    GateNumbers,
    GateResult,
    PromotionRequest,
    RequestKind,
    RequestStatus,
)
from core.entities.findings import Difference, Finding, Look, Severity
from core.entities.identity import Agreement, Comparison, Fact, Identity, IdentityVerdict
from core.entities.jobs import Job, JobLine, JobStatus, Trigger
from core.entities.learning import Recipe, Task, TrainingResult
from core.entities.lineage import Edge, Lineage, Node, NodeKind
from core.entities.models import ModelVersion, ModelVersionKey, RegisteredModel, Stage
from core.entities.people import BY_TOKEN, Actor, Role, Token, TokenState
from core.entities.predictions import PredictionBatch
from core.entities.reproduction import Reproduced, Reproduction
from core.entities.runs import (
    Artifact,
    DatasetInput,
    LoggedModel,
    MetricHistory,
    MetricPoint,
    ModelMetric,
    ModelOutput,
    Run,
    RunStatus,
)

__all__ = [
    "BY_TOKEN",
    "Actor",
    "Agreement",
    "Approval",
    "Artifact",
    "ChainVerdict",
    "Commit",
    "CommitDetails",
    "Comparison",
    "DataSource",
    "DataUse",
    "DatasetInput",
    "Difference",
    "Edge",
    "Event",
    "Fact",
    "Field",
    "FieldChange",
    "Finding",
    "GateCheck",
    "GateNumbers",
    "GateResult",
    "Identity",
    "IdentityVerdict",
    "Job",
    "JobLine",
    "JobStatus",
    "Lineage",
    "LoggedModel",
    "Look",
    "MetricHistory",
    "MetricPoint",
    "ModelMetric",
    "ModelOutput",
    "ModelVersion",
    "ModelVersionKey",
    "Node",
    "NodeKind",
    "Outcome",
    "PredictionBatch",
    "PromotionRequest",
    "ReadVerdict",
    "Readability",
    "Recipe",
    "RegisteredModel",
    "Reproduced",
    "Reproduction",
    "RequestKind",
    "RequestStatus",
    "Role",
    "Run",
    "RunStatus",
    "Severity",
    "Snapshot",
    "Stage",
    "Table",
    "TableDiff",
    "TableVersion",
    "TamperedRow",
    "Task",
    "Token",
    "TokenState",
    "TrainingResult",
    "Trigger",
]
