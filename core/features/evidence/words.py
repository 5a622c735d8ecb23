"""Words of a dossier for stages, statuses, verdicts and other values of closed sets."""

from __future__ import annotations

from enum import Enum

from core.entities import (
    DataUse,
    Outcome,
    Readability,
    Reproduced,
    RequestKind,
    RequestStatus,
    RunStatus,
    Severity,
    Stage,
    Task,
)
from core.learning.comparison.compare_models import Verdict
from core.texts import text

# Pairs instead of a dict: str enums of two types with the same value are the same key.
_WORDS: tuple[tuple[Enum, str], ...] = (
    (Stage.NONE, text("None")),
    (Stage.STAGING, text("Staging")),
    (Stage.PRODUCTION, text("Production")),
    (Stage.ARCHIVED, text("Archived")),
    (Readability.READABLE, text("readable")),
    (Readability.FILES_VACUUMED, text("files vacuumed")),
    (Readability.FILES_CHANGED, text("files changed")),
    (Readability.LOG_EXPIRED, text("log expired")),
    (Readability.REFUSED, text("engine refuses")),
    (Readability.UNKNOWN, text("unknown")),
    (Reproduced.REPRODUCED, text("reproduced")),
    (Reproduced.WITHIN_TOLERANCE, text("within tolerance")),
    (Reproduced.DIVERGED, text("diverged")),
    (Reproduced.IMPOSSIBLE, text("impossible")),
    (RequestStatus.OPEN, text("open")),
    (RequestStatus.APPROVED, text("approved")),
    (RequestStatus.REJECTED, text("rejected")),
    (RequestStatus.EXPIRED, text("expired")),
    (RequestStatus.UNFINISHED, text("unfinished")),
    (RequestKind.PROMOTION, text("promotion")),
    (RequestKind.ROLLBACK, text("rollback")),
    (RunStatus.SCHEDULED, text("scheduled")),
    (RunStatus.RUNNING, text("running")),
    (RunStatus.FINISHED, text("finished")),
    (RunStatus.FAILED, text("failed")),
    (RunStatus.KILLED, text("killed")),
    (Outcome.INTENT, text("intent")),
    (Outcome.SUCCESS, text("success")),
    (Outcome.DENIED, text("denied")),
    (Outcome.FAILED, text("failed")),
    (Severity.HIGH, text("high")),
    (Severity.MEDIUM, text("medium")),
    (Severity.LOW, text("low")),
    (Task.CLASSIFICATION, text("classification")),
    (Task.REGRESSION, text("regression")),
    (DataUse.TRAINING, text("training")),
    (DataUse.EVALUATION, text("evaluation")),
    (Verdict.BETTER, text("better")),
    (Verdict.WORSE, text("worse")),
    (Verdict.NO_DIFFERENCE, text("no difference shown")),
    (Verdict.UNDEFINED, text("undefined")),
)
# The kinds of findings and differences, in the order of core.features.monitoring.
_KINDS = (
    text("stage differs"),
    text("several in Production"),
    text("version missing"),
    text("decision rewritten"),
    text("finding rewritten"),
    text("unfinished decision"),
    text("unfinished action"),
    text("not taken over yet"),
    text("data replaced"),
    text("run deleted"),
    text("version number missing"),
    text("version replaced"),
    text("metric changed"),
    text("data stamp changed"),
    text("tag changed"),
    text("artifact replaced"),
    text("artifact missing"),
    text("serving alias moved"),
    text("alias moved"),
    text("emergency rollback"),
    text("opened by hand"),
)
_BY_KEY = {(type(value).__name__, value.value): said for value, said in _WORDS}


def kind_word(kind: str) -> str:
    """Return the word for the kind of a finding; an unknown kind as it is."""
    return next((said for said in _KINDS if said == kind), kind)


def word(value: Enum) -> str:
    """Return the word for *value*."""
    return _BY_KEY[type(value).__name__, value.value]
