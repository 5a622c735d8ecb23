"""Promotions: requests with their gates and evidence, decisions, rollback, and differences from the registry."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import RequestStatus, Stage
from core.features.monitoring.findings import list_findings
from core.features.open_requests.present_gates import present_gates, present_gates_of
from core.features.promotion.request_promotion import list_requests, preview_gates, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.promotion.rollback_checks import list_rollback_targets
from core.features.runs.models import list_models
from core.texts import text
from pages._audit import finding_forms, finding_views
from pages._promotions import differences_view, promotion_forms, promotion_views
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
    """Show all requests, and one of them with the forms of its next step."""
    every = list_requests(stores, actor)
    if not every:
        st.info(t("No requests yet. A data scientist makes one in the tab **Request promotion**."))
        return
    left, right = st.columns(2)
    labels = {value: translated(label) for value, label in LABELS.items()}
    models = [ALL, *sorted({request.model for request in every})]
    model = pickers.choose(t("Model"), models, "promotions_model", labels={ALL: labels[ALL]}, at=left)
    status = pickers.choose(t("Status"), list(STATUSES), "promotions_status", labels=labels, at=right) or ALL
    shown = [request for request in every if model in (ALL, request.model) and request.status in STATUSES[status]]
    if not shown:
        st.info(t("No requests match. Choose another model or status."))
        return
    findings = list_findings(stores, actor, include_closed=True)
    promotion_views.requests_table(shown, findings, present_gates_of(stores, actor, shown))
    pending = next((index for index, request in enumerate(shown) if request.status in STATUSES[PENDING]), 0)
    labels = {request.id: promotion_views.label(request) for request in shown}
    chosen = pickers.choose(
        t("Request"), list(labels), "promotions_request", labels=labels, index=pending, of=f"{model}{status}"
    )
    request = next(request for request in shown if request.id == chosen)
    emergency = finding_views.emergency_finding(findings, request.id)
    with st.spinner(t("Evaluating the gates")):
        present = present_gates(stores, actor, request)
    promotion_views.request_detail(request, emergency, present, findings)
    pictures.show_evidence(stores, actor, promotion_views.last_check(request, present).evidence or request.evidence)
    if emergency is not None and emergency.is_open:
        finding_forms.close_form(stores, actor, emergency)
    if request.status is RequestStatus.OPEN:
        promotion_forms.decide_form(stores, actor, request)
        return
    SinglePressForm(promotion_forms.decide_key(request.id)).show_error()
    if request.status is RequestStatus.UNFINISHED:
        problem = t("{name} decided on this request, but the decision is unfinished.", name=request.decided_by)
        promotion_forms.resolve_form(stores, actor, request.id, problem)


def request_promotion_form() -> None:
    """Choose a version and a stage, see the results of the gates, and make the request with a reason."""
    if not session.may(actor, Action.PROMOTION_REQUEST):
        st.info(t("Only data scientists can request a promotion."))
        return
    models = list_models(stores, actor)
    left, middle, right = st.columns(3)
    name = pickers.model(models, "promotions_ask", at=left)
    model = next((model for model in models if model.name == name), None)
    key = pickers.model_version(model, "promotions_version", at=middle) if model else None
    if key is None:
        st.info(t("No model versions yet. Train one on the page **Training**."))
        return
    stages = [Stage.PRODUCTION, Stage.STAGING, Stage.ARCHIVED, Stage.NONE]
    labels = {stage.value: messages.word(stage) for stage in stages}
    to = Stage(pickers.choose(t("Stage"), list(labels), "promotions_to", labels=labels, at=right))
    with st.spinner(t("Evaluating the gates")):
        preview = preview_gates(stores, actor, key, to)
    promotion_views.gate_preview(preview)
    form = SinglePressForm("promotions_ask_form")
    with form:
        reason = promotion_forms.reason_field(t("Reason for the request"))
        is_pressed = form.button(t("Request promotion"), type="primary", icon=":material/send:")
    if is_pressed:
        with form.answer(t("Evaluating the gates and recording the request")):
            request = request_promotion(stores, actor, model=key.model, version=key.version, to=to, reason=reason)
            values = {"version": request.key, "stage": messages.word(request.to), "id": request.id}
            form.notify(t("Request sent: {version} for {stage}. A manager decides on request {id}.", **values))


def roll_back_form() -> None:
    """Return to an earlier version, after a check that it loads and its data is readable."""
    models = [model for model in list_models(stores, actor) if model.versions]
    models.sort(key=lambda model: model.production is None)
    name = pickers.model(models, "promotions_back")
    model = next((model for model in models if model.name == name), None)
    if model is None:
        st.info(t("No model versions yet. Train one on the page **Training**."))
        return
    promotion_views.stages_table({str(version.version): version.stage.value for version in model.versions})
    if not session.may(actor, Action.PROMOTION_ROLLBACK):
        st.info(t("Only managers can roll back."))
        return
    targets = list_rollback_targets(stores, actor, model.name)
    if not targets:
        st.info(t("No version to roll back to: no version was in Production before, and none is older."))
        return
    promotion_forms.show_rollback_policy(stores, model.name)
    seen_decisions = promotion_forms.decisions_when_drawn(stores, actor, model.name, "back")
    with st.form("promotions_back_form"):
        to = promotion_forms.target_picker(targets)
        reason = promotion_forms.reason_field()
        if st.form_submit_button(t("Roll back"), type="primary", icon=":material/undo:"):
            with st.spinner(t("Checking that the model loads and its data is readable")):
                rollback = roll_back(stores, actor, model.name, to=to, reason=reason, seen_decisions=seen_decisions)
            messages.notify(promotion_forms.rollback_message(stores, rollback))
            st.rerun()


def differences() -> None:
    differences_view.draw(stores, actor)


st.title(t("Promotions"))
messages.show_notification()
tabs = st.tabs(
    (t("Requests"), t("Request promotion"), t("Roll back"), t("Differences")),
    key="promotions_tab",
    bind="query-params",
    on_change="rerun",
)
for tab, body in zip(tabs, (requests, request_promotion_form, roll_back_form, differences), strict=True):
    if tab.open:
        with tab, messages.show_errors():
            body()
