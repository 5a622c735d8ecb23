"""Forms of the Promotions page: approve or reject, resolve_request, close. Each is one call of a service."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Difference, PromotionRequest
from core.escaping import visible
from core.features.monitoring.reconcile import close_action, resolve_request
from core.features.promotion.decide import approve, reject
from core.features.promotion.four_eyes import may_be_same_person
from core.features.promotion.request_promotion import count_decisions, list_approvals
from core.features.promotion.review import approvals_needed, needs_review
from core.features.stores import Stores
from pages._promotions.single_press import SinglePressForm
from pages._ui import messages, session
from pages._ui.texts import t

LONGEST_REASON = 4_000


def reason_field(label: str | None = None, *, key: str | None = None, height: int = 122) -> str:
    """Draw the field for the reason that every decision needs, and return its text."""
    placeholder = t("Kept permanently in the audit log")
    field = st.text_area(
        label or t("Reason"), max_chars=LONGEST_REASON, placeholder=placeholder, key=key, height=height
    )
    return field or ""


def own_decision(stores: Stores, actor: Actor, name: str) -> str | None:
    """Return how to name the person *name* where it is, or may be, *actor*; otherwise None. Markdown."""
    if name == actor.name:
        return t("You")
    if may_be_same_person(stores, name, actor.name):
        return t("{name}, who may be the same person as you,", name=messages.plain(name))
    return None


def decide_form(stores: Stores, actor: Actor, request: PromotionRequest) -> None:
    """Let a manager approve or reject with a reason; nobody decides on their own request."""
    if not session.may(actor, Action.PROMOTION_DECIDE):
        st.info(t("Only managers can decide on this request."))
        return
    if person := own_decision(stores, actor, request.requested_by):
        st.info(t("{person} made this request; another manager must decide.", person=person))
        return
    needed = approvals_needed(stores, request.key, request.to)
    approvals = list_approvals(stores, actor, request)
    if needed > 1:
        names = ", ".join(messages.plain(approval.by) for approval in approvals) or t("nobody yet")
        st.info(
            t("{count} of {needed} approvals: {names}.", count=len(approvals), needed=needed, names=names),
            icon=":material/group:",
        )
    if len(approvals) < needed and actor.name in {approval.by for approval in approvals}:
        st.caption(t("You approved this request. It needs the approval of another manager."))
        return
    form = SinglePressForm(decide_key(request.id))
    with form:
        reason = reason_field(height=80)
        with st.container(horizontal=True):
            is_approved = form.button(t("Approve"), type="primary", icon=":material/check:")
            is_rejected = form.button(t("Reject"), icon=":material/close:")
        st.caption(
            t("An approval evaluates the gates again. The version that is in Production now then becomes Archived.")
        )
        seen_decisions = form.seen(count_decisions(stores, actor, request.model))
    if is_approved:
        with form.answer(t("Evaluating the gates again")):
            form.notify(_result(approve(stores, actor, request.id, reason=reason, seen_decisions=seen_decisions)))
    elif is_rejected:
        with form.answer(t("Recording the rejection with the gates as they are now")):
            form.notify(_result(reject(stores, actor, request.id, reason=reason)))


def decide_key(request_id: str) -> str:
    """Return the key of the form that decides on a request."""
    return f"promotions_decide_{request_id}"


def _result(request: PromotionRequest) -> str:
    return t(
        "Request {status}: {version} for {stage}.",
        version=request.key,
        stage=messages.word(request.to),
        status=messages.word(request.status),
    )


def rollback_message(stores: Stores, rollback: PromotionRequest) -> str:
    """Return the notification after a rollback."""
    values = {"version": rollback.key, "checks": len(rollback.gates)}
    if needs_review(stores, rollback):
        return t(
            "{version} is in Production again. Passed checks: {checks}. You rolled back alone, so another manager must "
            "review the rollback.",
            **values,
        )
    return t("{version} is in Production again. Passed checks: {checks}.", **values)


def resolve_form(stores: Stores, actor: Actor, request_id: str, problem: str) -> None:
    """Let a manager complete or undo an unfinished decision."""
    st.warning(messages.plain(problem), icon=":material/warning:")
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        st.info(
            t(
                "Only managers can resolve this decision. It is completed if the registry has the new stage, and "
                "undone if not."
            )
        )
        return
    form = SinglePressForm(f"promotions_resolve_{request_id}")
    with form:
        reason = reason_field()
        is_pressed = form.button(t("Resolve"), type="primary", icon=":material/healing:")
    if is_pressed:
        with form.answer(t("Comparing the decision with the registry")):
            form.notify(_result(resolve_request(stores, actor, request_id, reason=reason)))


def close_form(stores: Stores, actor: Actor, actions: Sequence[Difference]) -> None:
    """Let a manager record the outcome of an unfinished action."""
    labels = {action.request_id: f"{action.subject}: {action.detail}" for action in actions if action.request_id}
    if not labels:
        return
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        st.info(t("Only managers can close an unfinished action."))
        return
    form = SinglePressForm("promotions_close")
    with form:
        chosen = st.selectbox(
            t("Unfinished action"), list(labels), format_func=lambda action_id: visible(labels[action_id])
        )
        reason = reason_field()
        is_pressed = form.button(t("Close action"), icon=":material/task_alt:")
    if is_pressed:
        with form.answer(t("Recording the outcome")):
            closed = close_action(stores, actor, chosen, reason=reason)
            form.notify(
                t(
                    "Recorded: {action} of {subject} is {outcome}.",
                    action=closed.action,
                    subject=closed.subject,
                    outcome=messages.word(closed.outcome),
                )
            )
