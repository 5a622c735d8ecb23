"""Promotions: requests with their gates and evidence, decisions, rollback, and differences from the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.access.permissions import Action
from core.entities import Finding, PromotionRequest, RequestStatus
from core.features.head_to_head.comparison_of_check import comparison_of_check
from core.features.monitoring.findings import list_findings
from core.features.open_requests.present_gates import present_gates, present_gates_of
from core.features.promotion.request_promotion import list_requests
from core.texts import text
from pages._audit import finding_forms, finding_views
from pages._live import live
from pages._promotions import (
    differences_view,
    gate_views,
    promotion_forms,
    promotions_as_of,
    request_detail,
    request_form,
    requests_table,
    roll_back,
)
from pages._promotions.single_press import SinglePressForm
from pages._runs import pictures
from pages._ui import messages, pickers, session
from pages._ui.texts import t, translated

# The choices of the picker Status, by their value in the address.
ALL, PENDING, DECIDED = "all", "waiting", "decided"
STATUSES = {
    ALL: tuple(RequestStatus),
    PENDING: (RequestStatus.OPEN, RequestStatus.UNFINISHED),
    DECIDED: (RequestStatus.APPROVED, RequestStatus.REJECTED, RequestStatus.EXPIRED),
}
LABELS = {ALL: text("all"), PENDING: text("pending"), DECIDED: text("decided")}

actor = session.require(Action.PROMOTION_READ)
stores = session.stores()


def requests() -> None:
    """Show one request with the form of its next step, then all that match."""
    every = list_requests(stores, actor)
    if not every:
        st.info(t("No requests yet. A data scientist makes one in the tab **Request promotion**."))
        return
    left, middle, right = st.columns([2, 1, 3])
    labels = {value: translated(label) for value, label in LABELS.items()}
    models = [ALL, *sorted({request.model for request in every})]
    model = pickers.choose(t("Model"), models, "promotions_model", labels={ALL: labels[ALL]}, at=left)
    status = pickers.choose(t("Status"), list(STATUSES), "promotions_status", labels=labels, at=middle) or ALL
    shown = [request for request in every if model in (ALL, request.model) and request.status in STATUSES[status]]
    if not shown:
        st.info(t("No requests match. Choose another model or status."))
        return
    pending = next((index for index, request in enumerate(shown) if request.status in STATUSES[PENDING]), 0)
    labels = {request.id: requests_table.label(request) for request in shown}
    chosen = pickers.choose(
        t("Request"), list(labels), "promotions_request", labels=labels, index=pending, of=f"{model}{status}", at=right
    )
    request = next(request for request in shown if request.id == chosen)
    findings = list_findings(stores, actor, include_closed=True)
    with st.spinner(t("Evaluating the gates")):
        present = present_gates(stores, actor, request)
    check = gate_views.last_check(request, present)
    emergency = finding_views.emergency_finding(findings, request.id)
    request_detail.request_detail(
        request,
        emergency,
        present,
        findings,
        form=_next_step(request, emergency),
        comparison=comparison_of_check(stores, actor, request.key, check, until=request.decided_at),
    )
    pictures.show_evidence(stores, actor, check.evidence or request.evidence)
    st.subheader(t("Requests"))
    requests_table.requests_table(shown, findings, present_gates_of(stores, actor, shown))


def _next_step(request: PromotionRequest, emergency: Finding | None) -> Callable[[], None] | None:
    """Return what draws the form of the request's next step; None where there is no next step."""
    if emergency is not None and emergency.is_open:
        return partial(finding_forms.close_form, stores, actor, emergency)
    if request.status is RequestStatus.OPEN:
        return partial(promotion_forms.decide_form, stores, actor, request)
    SinglePressForm(promotion_forms.decide_key(request.id)).show_error()
    if request.status is RequestStatus.UNFINISHED:
        problem = t("{name} decided on this request, but the decision is unfinished.", name=request.decided_by)
        return partial(promotion_forms.resolve_form, stores, actor, request.id, problem)
    return None


st.title(t("Promotions"))
messages.show_notification()
if (moment := session.moment()) is not None:
    promotions_as_of.draw(stores, actor, moment)
live.watch(stores, actor)
tabs = st.tabs(
    (t("Requests"), t("Request promotion"), t("Roll back"), t("Differences")),
    key="promotions_tab",
    bind="query-params",
    on_change="rerun",
)
bodies: tuple[Callable[[], None], ...] = (
    requests,
    partial(request_form.draw, stores, actor),
    partial(roll_back.draw, stores, actor),
    partial(differences_view.draw, stores, actor),
)
for tab, body in zip(tabs, bodies, strict=True):
    if tab.open:
        with tab, messages.show_errors():
            body()
