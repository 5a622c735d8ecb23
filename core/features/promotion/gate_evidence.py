"""Evidence: the facts about a candidate that the gates of a promotion policy check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.entities import Identity, ReadVerdict, Stage, TableVersion


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The facts that gates check.

    *run_only* are KPIs that the run of the candidate logged for none of its several models. *production* is the version
    that the candidate would replace, None where no version is in Production. *identities* say of all training data
    whether it is what trained the candidate, as far as anything could be compared. *data_problem* says why the training
    data is unknown or not registered here, and *unreadable* which further training data cannot be read. *findings*
    describe the open findings of high severity about the candidate. *comparisons* are head-to-head comparisons of the
    candidate's present files with *production_key*, newest first, as the audit log keeps them. *test_rows* names the
    rows on which the KPIs were measured (data version, fraction and seed of the split), None where a part is unknown.
    """

    candidate: str
    stage: Stage
    to: Stage
    metrics: Mapping[str, float]
    run_only: Mapping[str, float] = field(default_factory=dict)
    production: str | None = None
    production_metrics: Mapping[str, float] = field(default_factory=dict)
    data: TableVersion | None = None
    verdict: ReadVerdict | None = None
    data_problem: str | None = None
    unreadable: str | None = None
    identities: tuple[Identity, ...] = ()
    artifact_format: str = "unknown"
    is_artifact_safe: bool = False
    run_problem: str | None = None
    findings: tuple[str, ...] = ()
    production_key: str | None = None
    comparisons: tuple[Mapping[str, Any], ...] = ()
    test_rows: str | None = None
    production_test_rows: str | None = None

    @property
    def are_rows_equal(self) -> bool:
        """Whether all rows were read and have the content SHA-256 that the training logged."""
        return bool(self.identities) and all(identity.is_content_equal for identity in self.identities)
