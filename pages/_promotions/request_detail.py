"""One request on a page: what decides and the form first, then KPIs, gates, findings and the record of the request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.entities import Finding, PromotionRequest, RequestKind, RequestStatus
from core.features.open_requests.present_gates import PresentGates
from pages._audit import finding_views
from pages._promotions import evidence_view, findings_view, gate_views, stages_table
from pages._ui import escaping, messages
from pages._ui.texts import t, tn

# So many changes stand beside the form; more of them are folded.
_MOST_CHANGES = 3
# A reason of so many characters stands in the line of who made the request.
_SHORT = 60


def request_detail(
    request: PromotionRequest,
    emergency: Finding | None = None,
    present: PresentGates | None = None,
    findings: Sequence[Finding] = (),
    *,
    form: Callable[[], None] | None = None,
    comparison: Mapping[str, Any] | None = None,
) -> None:
    """Show one request: the verdict of the gates with *form* beside it, then the evidence.

    *emergency* is the finding of a rollback by one person, *present* the gates of an open request now. *findings* are
    all findings; those that matter for an open request are shown. *comparison* is a head-to-head comparison of the
    candidate with the version that the gates compare with.
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
        if _is_short(request.request_reason):
            escaping.text(request.request_reason, width="content")
    if form is None:
        _summary(request, emergency, present, findings)
    else:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _summary(request, emergency, present, findings)
        with right:
            form()
    _evidence(request, present, findings, comparison)


def _summary(
    request: PromotionRequest, emergency: Finding | None, present: PresentGates | None, findings: Sequence[Finding]
) -> None:
    check = gate_views.last_check(request, present)
    gate_views.verdict(check)
    if present is not None:
        _changes(present)
    gate_views.moment(check, _moment(request, present))
    if request.status is RequestStatus.OPEN:
        findings_view.warning(findings, request, check)
    if not _is_short(request.request_reason):
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


def _moment(request: PromotionRequest, present: PresentGates | None) -> str:
    if present is not None:
        return t("Gates now")
    return t("Gates at the decision") if request.at_decision is not None else t("Gates at the request")


def _changes(present: PresentGates) -> None:
    """Show what differs from the request, and why."""
    if present.expiry is not None:
        st.warning(
            t(
                "The evidence changed since the request ({changed}). An approval ends the request as expired.",
                changed=messages.plain(present.expiry),
            ),
            icon=":material/schedule:",
        )
    lines = [f"- :orange[:material/difference:] :small[{messages.plain(change)}]" for change in present.changes]
    if lines:
        st.markdown("\n".join(lines[:_MOST_CHANGES]))
    if lines[_MOST_CHANGES:]:
        with st.expander(tn("{n} more change", "{n} more changes", len(lines) - _MOST_CHANGES)):
            st.markdown("\n".join(lines[_MOST_CHANGES:]))


def _evidence(
    request: PromotionRequest,
    present: PresentGates | None,
    findings: Sequence[Finding],
    comparison: Mapping[str, Any] | None,
) -> None:
    check = gate_views.last_check(request, present)
    evidence_view.kpis(check, comparison, key="promotions_check")
    if check.gates:
        gate_views.gates_table(check.gates)
    if request.status is RequestStatus.OPEN:
        findings_view.listed(findings, request, check)
    evidence_view.facts(check)
    if request.stages:
        st.markdown(f"**{t('Stages after the decision')}**")
        stages_table.stages_table(request.stages)
    asked = request.at_request
    if check == asked:
        return
    with st.expander(t("Gates at the request")):
        gate_views.verdict(asked)
        gate_views.moment(asked, t("Gates at the request"))
        if (asked.gates, asked.evidence) == (check.gates, check.evidence):
            st.caption(t("Gates and evidence were the same as above."))
            return
        evidence_view.kpis(asked, key="promotions_asked")
        if asked.gates:
            gate_views.gates_table(asked.gates)
        evidence_view.facts(asked)


def _review(emergency: Finding) -> None:
    """Show that the review of a rollback by one person is pending, or its result."""
    with st.container(horizontal=True, vertical_alignment="center"):
        finding_views.review_badge(emergency)
        finding_views.link(emergency, t("Show finding"))
    if not emergency.is_open:
        _quote(emergency.reason or "")


def _is_short(reason: str) -> bool:
    """Whether the reason fits into the line of its request."""
    return 0 < len(reason) <= _SHORT and "\n" not in reason


def _quote(reason: str) -> None:
    with st.chat_message("user", avatar=":material/format_quote:"):
        escaping.text(reason or t("No reason was given."))
