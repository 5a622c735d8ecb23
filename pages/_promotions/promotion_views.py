"""Promotions on a page: the table of requests, and one request with its gates, evidence and decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import (
    Difference,
    Finding,
    GateCheck,
    GateResult,
    PromotionRequest,
    RequestKind,
    RequestStatus,
    Severity,
    Stage,
)
from core.features.monitoring.decision_findings import About, findings_of_decision
from core.features.open_requests.present_gates import PresentGates
from core.features.promotion.evaluate_gates import GateEvaluation
from core.features.runs.compare import direction
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from core.texts import text
from pages._audit import finding_views
from pages._runs.run_tables import coloured, delta_label, number
from pages._ui import escaping, messages
from pages._ui.texts import t, tn, translated

# A decision page shows this many findings, the most important first.
MOST_FINDINGS = 8
_ABOUT = {
    About.CANDIDATE: text("about the candidate"),
    About.CANDIDATE_DATA: text("about its data"),
    About.RIVAL: text("about the version compared with"),
    About.RIVAL_DATA: text("about the data of the version compared with"),
    About.MODEL: text("about the model"),
    About.OTHER_VERSION: text("about another version"),
}
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
            t("Gates"): check_label(last_check(request, present.get(request.id))),
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


def request_detail(
    request: PromotionRequest,
    emergency: Finding | None = None,
    present: PresentGates | None = None,
    findings: Sequence[Finding] = (),
) -> None:
    """Show one request: who requested what and why, the decision, the findings, the gates and the evidence.

    *emergency* is the finding of a rollback by one person, *present* the gates of an open request now. *findings* are
    all findings; those that matter for an open request are shown.
    """
    st.subheader(
        t("{version} for {stage}", version=messages.plain(request.key), stage=messages.plain(messages.word(request.to)))
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(request.status)
        messages.badge(request.to)
        requester, when = messages.plain(request.requested_by), messages.local_time(request.requested_at)
        if request.kind is RequestKind.ROLLBACK:
            st.caption(t("rolled back by {name}, {time}", name=requester, time=when), width="content")
        else:
            st.caption(t("requested by {name}, {time}", name=requester, time=when), width="content")
    _quote(request.request_reason)
    if emergency is not None:
        _review(emergency)
    if request.decided_by and request.kind is RequestKind.PROMOTION:
        st.caption(
            t(
                "{status} by {name}, {time}",
                status=messages.word(request.status),
                name=messages.plain(request.decided_by),
                time=messages.local_time(request.decided_at),
            )
        )
        _quote(request.reason or "")
    elif request.status is RequestStatus.EXPIRED:
        reason = messages.plain(request.reason)
        st.warning(t("The request expired: {reason}.", reason=reason), icon=":material/schedule:")
    if request.status is RequestStatus.OPEN:
        _findings(findings, request, last_check(request, present))
    if present is not None:
        _present_gates(present)
    elif request.at_decision is not None:
        _check(t("Gates at the decision"), request.at_decision)
    if request.kind is RequestKind.PROMOTION or request.at_decision is None:
        with st.expander(t("Gates at the request"), expanded=present is None and request.at_decision is None):
            _check(t("Gates at the request"), request.at_request)
    if request.stages:
        st.markdown(f"**{t('Stages after the decision')}**")
        stages_table(request.stages)


def _findings(findings: Sequence[Finding], request: PromotionRequest, check: GateCheck) -> None:
    """Show the open findings about the candidate, its data and the version that it is compared with."""
    found = findings_of_decision(findings, request, check)
    if not found:
        return
    if any(finding.severity is Severity.HIGH for _, finding in found):
        st.warning(
            t(
                "Findings of high severity are open on {model}. Check them before you decide.",
                model=messages.plain(request.model),
            ),
            icon=":material/priority_high:",
        )
    else:
        st.markdown(f"**{t('Open findings')}**")
    for about, finding in found[:MOST_FINDINGS]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            messages.badge(finding.severity)
            st.caption(translated(_ABOUT[about]), width="content")
            st.markdown(messages.plain(finding_views.title(finding)), width="content")
            finding_views.link(finding, t("Show finding"))
        if about is not About.OTHER_VERSION:
            st.caption(messages.plain(translated(finding.detail)))
    if len(found) > MOST_FINDINGS:
        st.caption(t("{count} more findings are open.", count=len(found) - MOST_FINDINGS))


def gates_table(gates: Sequence[GateResult]) -> None:
    """Show one line per gate: its result and the numbers that it compared."""
    result, compared = t("Result"), t("Compared")
    rows = [{result: gate_label(gate), t("Gate"): gate.name, compared: gate.detail} for gate in gates]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        column_config={
            result: st.column_config.TextColumn(width=90),
            compared: st.column_config.TextColumn(width="large"),
        },
        alt=t("Gates and the numbers that each compared"),
    )


def _present_gates(present: PresentGates) -> None:
    """Show the gates of an open request now, after what differs from the request and why."""
    if present.expiry is not None:
        st.warning(
            t(
                "The evidence changed since the request ({changed}). An approval ends the request as expired.",
                changed=messages.plain(present.expiry),
            ),
            icon=":material/schedule:",
        )
    _check(t("Gates now"), present.check, present.changes)


def _check(title: str, check: GateCheck, changes: Sequence[str] = ()) -> None:
    """Show the gates and the evidence of one moment: the verdict, its time and the version compared with.

    *changes* are sentences on what differs from the request.
    """
    st.markdown(f"**{title}**")
    with st.container(horizontal=True, vertical_alignment="center"):
        gates_badge(check)
        st.caption(messages.local_time(check.at, seconds=True), width="content")
        if check.evidence is not None and check.problem is None:
            st.caption(_compared_with(check), width="content")
    if check.problem is not None:
        st.warning(
            t("The gates could not be evaluated. {problem}", problem=messages.plain(check.problem)),
            icon=":material/cloud_off:",
        )
        return
    if changes:
        st.warning("\n".join(f"- {messages.plain(change)}" for change in changes), icon=":material/difference:")
    if check.gates is None:
        st.caption(t("These gates were not kept: an earlier version of ModelLedger replaced them at the approval."))
    else:
        gates_table(check.gates)
    if check.evidence is None:
        st.caption(t("The evidence was not kept: an earlier version of ModelLedger kept only that of the request."))
        return
    st.markdown(f"**{t('Evidence: candidate and Production')}**")
    evidence(check.evidence)


def _compared_with(check: GateCheck) -> str:
    if check.compared_with is None:
        return t("compared with no version")
    version = messages.plain(check.compared_with)
    if check.is_rival_in_production:
        return t("compared with {version} in Production", version=version)
    return t("compared with {version}, the last in Production", version=version)


def last_check(request: PromotionRequest, present: PresentGates | None) -> GateCheck:
    """Return the gates that count: now where the request is open, else those of the decision."""
    return present.check if present else request.at_decision or request.at_request


def gates_badge(check: GateCheck) -> None:
    """Show how many gates failed as a badge; nothing where the gates were not kept."""
    if check.gates is None:
        return
    gates = check.gates
    failed = sum(not gate.passed for gate in gates)
    if check.problem is not None or not gates:
        st.badge(t("gates not evaluated"), icon=":material/cloud_off:", color="orange")
    elif failed:
        label = t("{failed} of {total} gates fail", failed=failed, total=len(gates))
        st.badge(label, icon=":material/close:", color="red")
    else:
        st.badge(tn("{n} gate passes", "all {n} gates pass", len(gates)), icon=":material/check:", color="green")


def check_label(check: GateCheck) -> str:
    """Return how many gates of *check* failed, for a table cell."""
    if check.problem is not None or check.gates is None:
        return t("– unknown")
    return gates_label(check.gates)


def gate_label(gate: GateResult) -> str:
    return t("● passed") if gate.passed else t("✕ failed")


def gates_label(gates: Sequence[GateResult]) -> str:
    """Return how many gates failed, for a table cell. No gates count as a failure."""
    failed = sum(not gate.passed for gate in gates)
    if failed or not gates:
        return t("✕ {failed} of {total} failed", failed=failed, total=len(gates))
    return tn("● {n} passed", "● all {n} passed", len(gates))


def evidence(found: Mapping[str, Any]) -> None:
    """Show the KPIs of candidate and Production beside each other, then data, artifact and hashes."""
    candidate, production = found.get("candidate", {}), found.get("production", {})
    mine, theirs = _numbers(candidate.get("metrics", {})), _numbers(production.get("metrics", {}))
    baseline = str(production.get("model_version") or t("no version in Production"))
    if production.get("model_version") and not production.get("serves", True):
        baseline = t("{version} (last in Production)", version=baseline)
    rows = []
    for name in sorted(mine.keys() | theirs.keys(), key=_position):
        value, reference = mine.get(name), theirs.get(name)
        delta = value - reference if value is not None and reference is not None else None
        parts = (number(value), delta_label(delta, direction(name, delta)))
        rows.append(
            {
                t("KPI"): name,
                baseline: number(reference),
                str(candidate.get("model_version", t("candidate"))): "  ".join(filter(None, parts)),
            }
        )
    left, right = st.columns(2)
    if rows:
        alt = t("KPIs of the candidate beside those of Production")
        escaping.table(rows, at=left, style=coloured, alt=alt)
    else:
        left.info(t("The run logged no metrics."))
    escaping.table(pd.DataFrame(_facts(found)), at=right, placeholder="–", alt=t("Facts of the evidence"))
    if theirs and (candidate.get("data"), mine.get("TestRows")) != (production.get("data"), theirs.get("TestRows")):
        st.caption(
            t(
                "The KPIs were measured on different test rows, so they do not compare exactly. **Head to head** on "
                "the page Models compares both versions on the same rows."
            )
        )


def gate_preview(preview: GateEvaluation) -> None:
    """Show the gates' results before a request is made, and the evidence that they used."""
    gates_table(preview.gates)
    with st.expander(t("Evidence")):
        evidence(preview.evidence)
    if not preview.passed:
        st.caption(t("You can still make the request. It cannot be approved while a gate fails."))


def stages_table(stages: Mapping[str, str]) -> None:
    """Show the stage of every version, newest first."""
    rows = [
        {t("Version"): int(version), t("Stage"): messages.label(Stage(stages[version]))}
        for version in sorted(stages, key=int, reverse=True)
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, width="content", alt=t("Stage of every version"))


def differences_table(differences: Sequence[Difference]) -> None:
    """Show one line per difference between the registry and the decisions."""
    rows = [
        {
            t("Kind"): difference.kind,
            t("Subject"): difference.subject,
            t("Decided"): difference.expected,
            t("Found"): difference.found,
            t("Detail"): difference.detail,
            t("Id"): difference.request_id,
        }
        for difference in differences
    ]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Differences between the registry and the decisions"))


def _review(emergency: Finding) -> None:
    """Show that the review of a rollback by one person is pending, or its result."""
    with st.container(horizontal=True, vertical_alignment="center"):
        finding_views.review_badge(emergency)
        finding_views.link(emergency, t("Show finding"))
    if not emergency.is_open:
        _quote(emergency.reason or "")


def _quote(reason: str) -> None:
    with st.chat_message("user", avatar=":material/format_quote:"):
        escaping.text(reason or t("No reason was given."))


def _facts(found: Mapping[str, Any]) -> list[dict[str, object]]:
    candidate, production = found.get("candidate", {}), found.get("production", {})
    artifact = candidate.get("artifact", {})
    facts = {
        t("Data version"): (_data(candidate.get("data")), _data(production.get("data"))),
        t("Rows"): (candidate.get("data_verdict"), None),
        t("SHA-256 of the rows"): (candidate.get("data_content_sha256"), None),
        t("Run"): (candidate.get("run_id"), None),
        t("Status of the run"): (candidate.get("run_status"), None),
        t("Stored as"): (artifact.get("format"), None),
        t("SHA-256 of the artifact"): (artifact.get("sha256"), None),
        t("SHA-256 of the evidence"): (found.get("fingerprint"), None),
    }
    return [{t("Field"): name, t("Candidate"): mine, t("Production"): theirs} for name, (mine, theirs) in facts.items()]


def _data(found: Mapping[str, Any] | None) -> str | None:
    if not found or found.get("table") is None or found.get("version") is None:
        return None
    return f"{found['table']}@{found['version']}"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Canonical JSON writes undefined values as words; float() reads them."""
    return {name: float(value) for name, value in metrics.items()}


def _position(name: str) -> tuple[int, str]:
    order = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS, "TrainRows", "TestRows")
    return (order.index(name) if name in order else len(order), name)
