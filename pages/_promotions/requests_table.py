"""The table of requests and rollbacks, and one line for each in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.entities import Finding, PromotionRequest, RequestKind
from core.features.open_requests.present_gates import PresentGates
from core.texts import text
from pages._audit import finding_views
from pages._promotions import gate_views
from pages._ui import escaping, messages
from pages._ui.texts import t, translated

_KINDS = {RequestKind.PROMOTION: text("promotion"), RequestKind.ROLLBACK: text("rollback")}


def requests_table(
    requests: Sequence[PromotionRequest], findings: Sequence[Finding], present: Mapping[str, PresentGates]
) -> None:
    """Show one line per request, in the order given; a rollback by one person shows its review.

    *present* are the gates of open requests now; those of the others are the last that were recorded.
    """
    reviews = {
        request.id: finding_views.review_label(finding_views.emergency_finding(findings, request.id))
        for request in requests
    }
    requested, decided = times = (t("Requested"), t("Decided"))
    rows = [
        {
            t("Status"): messages.label(request.status),
            t("Model version"): str(request.key),
            t("Stage"): messages.label(request.to),
            t("Kind"): translated(_KINDS[request.kind]),
            **({t("Review"): reviews[request.id]} if any(reviews.values()) else {}),
            t("Gates"): gate_views.check_label(gate_views.last_check(request, present.get(request.id))),
            t("Requested by"): request.requested_by,
            requested: request.requested_at,
            t("Decided by"): request.decided_by,
            decided: request.decided_at,
            t("Reason"): request.reason or request.request_reason,
            t("Id"): request.id,
        }
        for request in requests
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 330),
        column_config={name: messages.time_column(name) for name in times},
        alt=t("Requests and rollbacks, newest first"),
    )


def label(request: PromotionRequest) -> str:
    """Return one line for a list of requests."""
    target = f"{request.key} → {messages.word(request.to)}"
    return f"{messages.label(request.status)} · {target} · {request.requested_by} · {request.id}"
