"""Promotions: requests with their gates and evidence, decisions, rollback, and what differs from the registry."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import RequestStatus, Stage
from core.errors import CoreError
from core.features.monitoring.findings import list_findings
from core.features.monitoring.reconcile import UNFINISHED_ACTION, UNFINISHED_REQUEST, find_differences, find_unfinished
from core.features.promotion.request_promotion import list_requests, preview_gates, request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.promotion.rollback_checks import list_rollback_targets
from core.features.runs.models import list_models
from pages._audit import finding_forms, finding_views
from pages._promotions import promotion_forms, promotion_views
from pages._ui import links, messages, pickers, session

TABS = ("Requests", "Ask for a stage", "Roll back", "Differences")
SHOWN = {
    "all": tuple(RequestStatus),
    "waiting": (RequestStatus.OPEN, RequestStatus.UNFINISHED),
    "decided": (RequestStatus.APPROVED, RequestStatus.REJECTED, RequestStatus.EXPIRED),
}

actor = session.require(Action.PROMOTION_READ)
stores = session.stores()


def requests() -> None:
    """All requests, and one of them with what can be done about it."""
    found = list_requests(stores, actor)
    if not found:
        st.info("Nobody has asked for a stage yet. A data scientist does so under **Ask for a stage**.")
        return
    left, right = st.columns(2)
    model = pickers.choose("Model", ["all", *sorted({r.model for r in found})], "promotions_model", at=left)
    show = pickers.choose("Status", list(SHOWN), "promotions_status", at=right)
    chosen = [r for r in found if model in ("all", r.model) and r.status in SHOWN[show or "all"]]
    if not chosen:
        st.info("No request matches; choose another model or status.")
        return
    findings = list_findings(stores, actor, include_closed=True)
    promotion_views.requests_table(chosen, findings)
    waiting = next((n for n, r in enumerate(chosen) if r.status in SHOWN["waiting"]), 0)
    words = {r.id: promotion_views.words(r) for r in chosen}
    picked = pickers.choose(
        "Request", list(words), "promotions_request", words=words, index=waiting, of=f"{model}{show}"
    )
    request = next(r for r in chosen if r.id == picked)
    alone = finding_views.emergency(findings, request.id)
    promotion_views.request(request, alone)
    if alone is not None and alone.is_open:
        finding_forms.close(stores, actor, alone)
    if request.status is RequestStatus.OPEN:
        promotion_views.look_first(findings, request)
        promotion_forms.decide(stores, actor, request)
    elif request.status is RequestStatus.UNFINISHED:
        what = f"{request.decided_by} decided it; carrying it out was begun and not ended."
        promotion_forms.finish(stores, actor, request.id, what)


def ask() -> None:
    """Which version to which stage, what the gates say to it, and the reason."""
    if not session.may(actor, Action.PROMOTION_REQUEST):
        st.info("A data scientist asks for a stage; you may look at the requests.")
        return
    models = list_models(stores, actor)
    left, middle, right = st.columns(3)
    name = pickers.model(models, "promotions_ask", at=left)
    model = next((one for one in models if one.name == name), None)
    key = pickers.model_version(model, "promotions_version", at=middle) if model else None
    if key is None:
        st.info("There is no model version yet. Train one on the page **Training**.")
        return
    to = Stage(pickers.choose("Stage", ["Production", "Staging", "Archived", "None"], "promotions_to", at=right))
    with st.spinner("Asking the gates"):
        seen = preview_gates(stores, actor, key, to)
    promotion_views.appraisal(seen)
    with st.form("promotions_ask_form", clear_on_submit=False):
        reason = promotion_forms.reason("What speaks for it")
        if st.form_submit_button(f"Ask for {to.value}", type="primary", icon=":material/send:"):
            asked = request_promotion(stores, actor, model=key.model, version=key.version, to=to, reason=reason)
            messages.say(f"Asked: {asked.key} to {asked.to.value}. A manager decides on request {asked.id}.")
            st.rerun()


def back() -> None:
    """To an earlier version, after a check that it loads and its data can be read."""
    models = [one for one in list_models(stores, actor) if one.versions]
    name = pickers.model(models, "promotions_back")
    model = next((one for one in models if one.name == name), None)
    if model is None:
        st.info("There is no model version to roll back to. Train one on the page **Training**.")
        return
    promotion_views.stages_table({str(one.version): one.stage.value for one in model.versions})
    if not session.may(actor, Action.PROMOTION_ROLLBACK):
        st.info("A manager rolls back.")
        return
    targets = list_rollback_targets(stores, actor, model.name)
    if not targets:
        st.info("No version served before, and none is older than what serves: there is nothing to roll back to.")
    promotion_forms.told_of_review(stores, model.name)
    seen = promotion_forms.last_sight(stores, actor, model.name, "back")
    with st.form("promotions_back_form"):
        to = promotion_forms.target(targets)
        reason = promotion_forms.reason()
        if st.form_submit_button("Check and roll back", type="primary", icon=":material/undo:"):
            with st.spinner("Loading the model in a process of its own, looking for its data"):
                done = roll_back(stores, actor, model.name, to=to, reason=reason, seen_decisions=seen)
            messages.say(promotion_forms.rolled_back(stores, done))
            st.rerun()


def differ() -> None:
    """Registry against decisions; nothing is repaired silently."""
    try:
        found = find_differences(stores, actor)
    except CoreError as error:
        # What was begun and not ended stands in our own database.
        messages.show_error(error)
        found = find_unfinished(stores)
        if not found:
            return
    if not found:
        st.success("Registry and decisions agree, and nothing is unfinished.", icon=":material/check:")
        return
    promotion_views.differences_table(found)
    links.link("audit", "As findings, with owner and due date", audit_tab=finding_views.TAB)
    for one in found:
        if one.kind == UNFINISHED_REQUEST and one.request_id:
            promotion_forms.finish(stores, actor, one.request_id, one.detail)
    promotion_forms.close(stores, actor, [one for one in found if one.kind == UNFINISHED_ACTION])


st.title("Promotions")
messages.said()
opened = st.tabs(TABS, key="promotions_tab", bind="query-params", on_change="rerun")
for tab, body in zip(opened, (requests, ask, back, differ), strict=True):
    if tab.open:
        with tab, messages.telling():
            body()
