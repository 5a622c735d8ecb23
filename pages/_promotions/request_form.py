"""The tab Request promotion, and the link to it that stands on a model version."""

from __future__ import annotations

from datetime import UTC, datetime

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, GateCheck, ModelVersionKey, PromotionRequest, RequestStatus, Stage
from core.features.promotion.request_promotion import list_requests, preview_gates, request_promotion
from core.features.runs.models import list_models
from core.features.stores import Stores
from pages._promotions import evidence_view, gate_views, promotion_forms
from pages._promotions.single_press import SinglePressForm
from pages._ui import links, messages, pickers, session
from pages._ui.texts import t


def link(stores: Stores, actor: Actor, key: ModelVersionKey, stage: Stage | None = None) -> None:
    """Draw a link that requests the promotion of *key*, or shows its open request. Nothing for other roles.

    *stage* is the present stage of *key*, None where it is not known: a version in Production has no such link. A page
    that shows an earlier moment has none.
    """
    if session.moment() is not None:
        return
    request = _open_request(stores, actor, key)
    if request is not None:
        links.link("promotions", t("Show request"), promotions_request=request.id)
    elif session.may(actor, Action.PROMOTION_REQUEST) and stage is not Stage.PRODUCTION:
        links.link(
            "promotions",
            t("Request promotion"),
            promotions_tab=t("Request promotion"),
            promotions_ask=key.model,
            promotions_version=str(key.version),
        )


def draw(stores: Stores, actor: Actor) -> None:
    """Choose a version and a stage, see what the gates say, and make the request with a reason."""
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
    check = GateCheck(at=datetime.now(UTC), gates=preview.gates, evidence=preview.evidence)
    left, right = st.columns([3, 2], gap="large")
    with left:
        gate_views.verdict(check)
        gate_views.moment(check, t("Gates now"))
        if not preview.passed:
            st.caption(t("You can still make the request. It cannot be approved while a gate fails."))
    with right:
        _form(stores, actor, key, to)
    evidence_view.kpis(check, key="promotions_preview")
    gate_views.gates_table(preview.gates)
    with st.expander(t("Evidence")):
        evidence_view.facts(check)


def _form(stores: Stores, actor: Actor, key: ModelVersionKey, to: Stage) -> None:
    form = SinglePressForm("promotions_ask_form")
    request = _open_request(stores, actor, key, to)
    if request is not None:
        requester = messages.plain(request.requested_by)
        st.info(t("{name} already made this request; it is open.", name=requester), icon=":material/hourglass_empty:")
        links.link("promotions", t("Show request"), promotions_request=request.id)
        form.show_error()
        return
    with form:
        reason = promotion_forms.reason_field(t("Reason for the request"))
        is_pressed = form.button(t("Request promotion"), type="primary", icon=":material/send:")
    if is_pressed:
        with form.answer(t("Evaluating the gates and recording the request")):
            made = request_promotion(stores, actor, model=key.model, version=key.version, to=to, reason=reason)
            values = {"version": made.key, "stage": messages.word(made.to), "id": made.id}
            form.notify(t("Request sent: {version} for {stage}. A manager decides on request {id}.", **values))


def _open_request(
    stores: Stores, actor: Actor, key: ModelVersionKey, to: Stage | None = None
) -> PromotionRequest | None:
    """Return the newest open request of *key*, for the stage *to* where it is given."""
    return next(
        (
            request
            for request in list_requests(stores, actor, model=key.model)
            if request.key == key and request.status is RequestStatus.OPEN and to in (None, request.to)
        ),
        None,
    )
