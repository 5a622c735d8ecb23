"""Promotions on a page: requests as a table, and one with its gates, its evidence and how it was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import Difference, Finding, GateResult, PromotionRequest, RequestKind, RequestStatus, Severity, Stage
from core.features.monitoring.findings import findings_about_model
from core.features.promotion.evaluate_gates import GateEvaluation
from core.features.runs.compare import direction
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from pages._audit import finding_views
from pages._runs.run_tables import coloured, marked, number
from pages._ui import escaping, messages

_VERBS = {RequestKind.PROMOTION: "asked for", RequestKind.ROLLBACK: "rolled back to"}


def requests_table(found: Sequence[PromotionRequest], findings: Sequence[Finding]) -> None:
    """One line per request, newest first; a rollback by one person says whether it was reviewed."""
    reviews = {one.id: finding_views.review_word(finding_views.emergency(findings, one.id)) for one in found}
    rows = [
        {
            "Status": messages.word(request.status),
            "Model version": str(request.key),
            "To": messages.word(request.to),
            "Kind": request.kind.value,
            **({"Review": reviews[request.id]} if any(reviews.values()) else {}),
            "Gates": gates_word(request.gates),
            "Asked by": request.requested_by,
            "Asked": request.requested_at,
            "Decided by": request.decided_by,
            "Decided": request.decided_at,
            "Reason": request.reason or request.request_reason,
            "Id": request.id,
        }
        for request in found
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 330),
        column_config={name: messages.time_column(name) for name in ("Asked", "Decided")},
        alt="Requests and rollbacks, newest first",
    )


def words(request: PromotionRequest) -> str:
    """One request in a list to choose from."""
    return (
        f"{messages.word(request.status)} · {request.key} to {request.to.value} · {request.requested_by} · {request.id}"
    )


def look_first(findings: Sequence[Finding], found: PromotionRequest) -> None:
    """Whoever decides is told what is open on the model and weighs most."""
    grave = [
        one for one in findings_about_model(findings, found.model) if one.is_open and one.severity is Severity.HIGH
    ]
    if not grave:
        return
    st.warning(
        f"High findings are open on {messages.plain(found.model)}; look at them before you decide.",
        icon=":material/priority_high:",
    )
    finding_views.brief(grave)


def request(found: PromotionRequest, alone: Finding | None = None) -> None:
    """Who asked for what and why, how it was decided, what the gates saw. *alone*: where one person rolled it back."""
    st.subheader(f"{messages.plain(found.key)} to {found.to.value}")
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(found.status)
        messages.badge(found.to)
        verb = _VERBS[found.kind]
        st.caption(
            f"{messages.plain(found.requested_by)} {verb} it, {messages.local(found.requested_at)}", width="content"
        )
    _said(found.requested_by, found.request_reason)
    if alone is not None:
        _review(alone)
    if found.decided_by and found.kind is RequestKind.PROMOTION:
        st.caption(f"{messages.plain(found.decided_by)}, {messages.local(found.decided_at)}: {found.status.value}")
        _said(found.decided_by, found.reason or "")
    elif found.status is RequestStatus.EXPIRED:
        st.warning(messages.plain(f"Expired: {found.reason}."), icon=":material/schedule:")
    st.markdown("**Gates**" + ("" if found.status is RequestStatus.OPEN else ", as they stood when it was decided"))
    gates_table(found.gates)
    st.markdown("**Evidence**, candidate beside Production")
    evidence(found.evidence)
    if found.stages:
        st.markdown("**Stages after it**")
        stages_table(found.stages)


def gates_table(gates: Sequence[GateResult]) -> None:
    """One line per gate: mark and word, and the numbers it saw."""
    rows = [{"": gate_word(gate), "Gate": gate.name, "What it saw": gate.detail} for gate in gates]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        column_config={
            "": st.column_config.TextColumn(width=90),
            "What it saw": st.column_config.TextColumn(width="large"),
        },
        alt="Gates and what each saw",
    )


def gate_word(gate: GateResult) -> str:
    return "● passed" if gate.passed else "✕ failed"


def gates_word(gates: Sequence[GateResult]) -> str:
    """How many of them hold."""
    failed = sum(not gate.passed for gate in gates)
    return f"✕ {failed} of {len(gates)} failed" if failed or not gates else f"● all {len(gates)} passed"


def evidence(found: Mapping[str, Any]) -> None:
    """KPIs side by side with better and worse, then data, artifact and hashes."""
    candidate, production = found.get("candidate", {}), found.get("production", {})
    mine, theirs = _numbers(candidate.get("metrics", {})), _numbers(production.get("metrics", {}))
    rival = production.get("model_version") or "nothing in Production"
    if production.get("model_version") and not production.get("serves", True):
        rival = f"{rival} (served last)"
    rows = []
    for name in sorted(mine.keys() | theirs.keys(), key=_position):
        a, b = mine.get(name), theirs.get(name)
        delta = a - b if a is not None and b is not None else None
        parts = (number(a), marked(delta, direction(name, delta)))
        rows.append(
            {
                "KPI": name,
                str(rival): number(b),
                str(candidate.get("model_version", "candidate")): "  ".join(filter(None, parts)),
            }
        )
    left, right = st.columns(2)
    if rows:
        alt = "KPIs of the candidate beside those of Production"
        escaping.table(rows, at=left, style=coloured, alt=alt)
    else:
        left.info("The run logged no metric.")
    escaping.table(pd.DataFrame(_facts(found)), at=right, placeholder="–", alt="What the evidence rests on")


def appraisal(seen: GateEvaluation) -> None:
    """What the gates say before anybody has asked, and what they looked at."""
    gates_table(seen.gates)
    with st.expander("Evidence"):
        evidence(seen.evidence)
    if not seen.passed:
        st.caption("You may ask all the same; it cannot be approved while a gate fails.")


def stages_table(stages: Mapping[str, str]) -> None:
    rows = [
        {"Version": int(n), "Stage": messages.word(Stage(stages[n]))} for n in sorted(stages, key=int, reverse=True)
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, width="content", alt="Stage of every version")


def differences_table(found: Sequence[Difference]) -> None:
    rows = [
        {
            "What": difference.kind,
            "Where": difference.subject,
            "Decided": difference.expected,
            "Found": difference.found,
            "In words": difference.detail,
            "Id": difference.request_id,
        }
        for difference in found
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt="Where registry and decisions differ")


def _review(alone: Finding) -> None:
    """A rollback by one person: that it waits, or what who reviewed it found out."""
    with st.container(horizontal=True, vertical_alignment="center"):
        finding_views.review_badge(alone)
        finding_views.link(alone, "The finding")
    if not alone.is_open:
        _said(str(alone.closed_by), alone.reason or "")


def _said(who: str, text: str) -> None:
    with st.chat_message("user", avatar=":material/format_quote:"):
        escaping.text(text or f"{who} gave no reason")


def _facts(found: Mapping[str, Any]) -> list[dict[str, object]]:
    candidate, production = found.get("candidate", {}), found.get("production", {})
    artifact = candidate.get("artifact", {})
    facts = {
        "Data version": (_data(candidate.get("data")), _data(production.get("data"))),
        "Its rows": (candidate.get("data_verdict"), None),
        "Rows' SHA-256": (candidate.get("data_content_sha256"), None),
        "Run": (candidate.get("run_id"), None),
        "Run ended as": (candidate.get("run_status"), None),
        "Stored as": (artifact.get("format"), None),
        "Artifact's SHA-256": (artifact.get("sha256"), None),
        "Fingerprint of all": (found.get("fingerprint"), None),
    }
    return [{"Fact": name, "Candidate": mine, "Production": theirs} for name, (mine, theirs) in facts.items()]


def _data(found: Mapping[str, Any] | None) -> str | None:
    if not found or found.get("table") is None or found.get("version") is None:
        return None
    return f"{found['table']}@{found['version']}"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Undefined values are kept as words (canonical JSON); float() reads them back."""
    return {name: float(value) for name, value in metrics.items()}


def _position(name: str) -> tuple[int, str]:
    order = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS, "TrainRows", "TestRows")
    return (order.index(name) if name in order else len(order), name)
