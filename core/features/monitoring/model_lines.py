"""The models of the overview, one line each: searched, filtered and ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from core.entities import Difference, Finding, PromotionRequest, Severity
from core.features.monitoring.findings import findings_about_model
from core.features.monitoring.overview import Overview, Serving


class StageFilter(str, Enum):
    PRODUCTION = "production"
    STAGING = "staging"
    NEITHER = "neither"


class DataFilter(str, Enum):
    READABLE = "readable"
    NOT_READABLE = "not readable"
    UNKNOWN = "unknown"


class Order(str, Enum):
    """ATTENTION: models that need attention first, the most urgent first, then Production. PRODUCTION: the reverse."""

    ATTENTION = "attention"
    PRODUCTION = "production"
    NAME = "name"
    UPDATED = "updated"


@dataclass(frozen=True, kw_only=True)
class ModelLine:
    """One model with all that concerns it: open findings and requests, and risks without a finding."""

    serving: Serving
    findings: tuple[Finding, ...]
    requests: tuple[PromotionRequest, ...]
    risks: tuple[Difference, ...]
    is_untaken: bool

    @property
    def data(self) -> DataFilter | None:
        """The state of the data of the version in Production; None where no version is there."""
        if self.serving.production is None:
            return None
        if self.serving.verdict is None:
            return DataFilter.UNKNOWN
        return DataFilter.READABLE if self.serving.verdict.is_readable else DataFilter.NOT_READABLE

    @property
    def needs_attention(self) -> bool:
        return bool(self.findings or self.requests or self.risks) or self.data is DataFilter.NOT_READABLE


def model_lines(overview: Overview) -> tuple[ModelLine, ...]:
    """Return one line per model, by name. Reads nothing."""
    untaken = {model.model for model in overview.untaken}
    return tuple(
        ModelLine(
            serving=serving,
            findings=findings_about_model(overview.findings, serving.model),
            requests=tuple(request for request in overview.waiting if request.model == serving.model),
            risks=tuple(risk for risk in overview.risks if _model_of(risk.subject) == serving.model),
            is_untaken=serving.model in untaken,
        )
        for serving in overview.serving
    )


def select_lines(
    lines: Sequence[ModelLine],
    *,
    text: str = "",
    stage: StageFilter | None = None,
    data: DataFilter | None = None,
    only_attention: bool = False,
    order: Order = Order.ATTENTION,
) -> tuple[ModelLine, ...]:
    """Return the lines that match every condition, in *order*.

    *text* is a part of the model's name, an alias, the data version or the name of who decided; case does not matter.
    """
    selected = [
        line
        for line in lines
        if (not only_attention or line.needs_attention)
        and (data is None or line.data is data)
        and (stage is None or _has_stage(line.serving, stage))
        and _contains(line.serving, text.strip().casefold())
    ]
    return tuple(sorted(selected, key=lambda line: (*_rank(line, order), line.serving.model.casefold())))


def _rank(line: ModelLine, order: Order) -> tuple[float, ...]:
    urgency, is_not_there = _urgency(line), line.serving.production is None
    match order:
        case Order.ATTENTION:
            return urgency, is_not_there
        case Order.PRODUCTION:
            return is_not_there, urgency
        case Order.UPDATED:
            return (-line.serving.updated.timestamp(),)
        case Order.NAME:
            return ()


def _urgency(line: ModelLine) -> int:
    """0 is the most urgent: a high finding, then another finding or a request, then a risk, then nothing."""
    if any(finding.severity is Severity.HIGH for finding in line.findings):
        return 0
    if line.findings or line.requests:
        return 1
    return 2 if line.needs_attention else 3


def _has_stage(serving: Serving, stage: StageFilter) -> bool:
    if stage is StageFilter.PRODUCTION:
        return serving.production is not None
    if stage is StageFilter.STAGING:
        return bool(serving.staging)
    return serving.production is None and not serving.staging


def _contains(serving: Serving, text: str) -> bool:
    return any(text in str(part or "").casefold() for part in (serving.model, serving.data, serving.decided_by)) or any(
        text in alias.casefold() for alias in serving.aliases
    )


def _model_of(subject: str) -> str:
    """The model of MODEL/N; a model's own name has no slash."""
    model, slash, number = subject.rpartition("/")
    return model if slash and number.isdigit() else subject
