"""Cards of the Overview: one per model with its version in Production, and one per pending request."""

from __future__ import annotations

import math

import streamlit as st

from core.entities import Finding, PromotionRequest
from core.features.monitoring.findings import findings_about_version
from core.features.monitoring.overview import Serving
from core.features.open_requests.present_gates import PresentGates
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.learning.kpis import is_lower_better, metric_text
from pages._audit import finding_views
from pages._promotions import gate_views
from pages._ui import escaping, links, messages
from pages._ui.texts import t, tn


def model_card(serving: Serving, findings: tuple[Finding, ...], *, is_untaken: bool = False) -> None:
    """Show a model's version in Production with its data, decision and KPIs. *findings* are those of the model."""
    name, action = st.columns([5, 2], vertical_alignment="center")
    with name, st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{messages.plain(serving.model)}**", width="content")
        if serving.production is None:
            st.badge(t("no version in Production"), icon=":material/circle:", color="gray")
        else:
            messages.badge(serving.production.stage)
            messages.alias_badges(serving.production.aliases)
            st.markdown(
                t("version {version} of {total}", version=serving.production.version, total=serving.versions),
                width="content",
            )
        if is_untaken:
            st.badge(t("not taken over yet"), icon=":material/inventory_2:", color="gray")
        if findings:
            finding_views.count_badge(findings)
    with action:
        links.link("models", t("Show versions"), models_model=serving.model)
    if serving.production is None:
        st.caption(
            tn(
                "{n} version is trained. A data scientist requests its promotion on the page Promotions.",
                "{n} versions are trained. A data scientist requests a promotion on the page Promotions.",
                serving.versions,
            )
        )
        return
    _facts(serving)
    own_findings = findings_about_version(findings, serving.production.key)
    emergency = next((finding for finding in own_findings if finding.kind == EMERGENCY_ROLLBACK), None)
    if emergency is not None:
        finding_views.review_badge(emergency)
    with st.container(horizontal=True, gap="medium"):
        for metric, value in serving.metrics.items():
            trend = [value for value in serving.trend.get(metric, ()) if value is not None and math.isfinite(value)]
            st.metric(
                messages.plain(metric),
                metric_text(value),
                chart_data=trend if len(trend) > 1 else None,
                help=_trend_help(metric),
                width=128,
            )


def _trend_help(metric: str) -> str:
    lower = is_lower_better(metric)
    if lower is None:
        return t("The line shows all versions, oldest first.")
    if lower:
        return t("Lower is better. The line shows all versions, oldest first.")
    return t("Higher is better. The line shows all versions, oldest first.")


def request_card(request: PromotionRequest, present: PresentGates | None = None) -> None:
    """Show who requested what and why, how many gates pass now, and a link to the decision.

    Without *present* the gates are those of the request, and the card says so.
    """
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{messages.plain(request.key)}** →", width="content")
        messages.badge(request.to)
    requester, time = messages.plain(request.requested_by), messages.local_time(request.requested_at)
    st.caption(t("requested by {name}, {time}", name=requester, time=time))
    escaping.text(request.request_reason)
    gate_views.gates_badge(present.check if present else request.at_request)
    if present is None:
        st.caption(t("when requested"))
    for change in present.changes if present else ():
        st.caption(messages.plain(change))
    links.link("promotions", t("Decide"), promotions_request=request.id)


def _facts(serving: Serving) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        time = messages.local_time(serving.since)
        if serving.decided_by:
            decision = t("since {time}, approved by {name}", time=time, name=messages.plain(serving.decided_by))
        elif serving.accepted_by:
            person = messages.plain(serving.accepted_by)
            decision = t("since {time}, accepted as found by {name}", time=time, name=person)
        else:
            decision = t("since {time}, not decided in ModelLedger", time=time)
        st.caption(decision, width="content")
        if serving.data:
            st.caption(t("trained on {data}", data=messages.plain(serving.data)), width="content")
        else:
            st.caption(t("trained on unknown data"), width="content")
        if serving.identity is not None and serving.identity.is_contradicted:
            messages.badge(serving.identity.verdict)
        elif serving.verdict is not None:
            messages.badge(serving.verdict.verdict)
