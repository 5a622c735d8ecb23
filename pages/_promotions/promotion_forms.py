"""Forms of the Promotions page: approve or reject, resolve, close. Each is one call of a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Difference, PromotionRequest
from core.escaping import visible
from core.features.monitoring.reconcile import close_action, resolve_request
from core.features.promotion.decide import approve, reject
from core.features.promotion.four_eyes import may_be_same_person
from core.features.promotion.request_promotion import count_decisions, list_approvals
from core.features.promotion.review import approvals_needed, needs_review, production_approvals_needed
from core.features.stores import Stores
from pages._ui import messages, session

LONGEST_REASON = 4_000


def reason(label: str = "Why", *, key: str | None = None) -> str:
    """The reason that every decision needs."""
    return st.text_area(label, max_chars=LONGEST_REASON, placeholder="Kept in the audit log, for good", key=key) or ""


def own(stores: Stores, actor: Actor, by: str) -> str | None:
    """How *actor* is told that they did it themselves, where *by*, who did it, may be they; else None. Markdown."""
    if by == actor.name:
        return "You"
    return (
        f"{messages.plain(by)}, who may be the same person as you,"
        if may_be_same_person(stores, by, actor.name)
        else None
    )


def last_sight(stores: Stores, actor: Actor, model: str, form: str) -> int:
    """How many decisions on *model* there were when *form* was drawn the last time: what its reader stands on."""
    key = f"promotions_sight_{form}_{model}"
    now = count_decisions(stores, actor, model)
    before = int(st.session_state.get(key, now))
    st.session_state[key] = now
    return before


def decide(stores: Stores, actor: Actor, request: PromotionRequest) -> None:
    """Approve or reject with a reason; never one's own request."""
    if not session.may(actor, Action.PROMOTION_DECIDE):
        st.info("It waits for a manager's decision.")
        return
    if who := own(stores, actor, request.requested_by):
        st.info(f"{who} asked for this; somebody else has to decide.")
        return
    needed = approvals_needed(stores, request.key, request.to)
    so_far = list_approvals(stores, actor, request)
    if needed > 1:
        names = ", ".join(messages.plain(one.by) for one in so_far) or "nobody yet"
        st.info(f"{len(so_far)} of {needed} people have approved: {names}.", icon=":material/group:")
    if len(so_far) < needed and actor.name in {one.by for one in so_far}:
        st.caption("You have approved; somebody else has to as well.")
        return
    seen = last_sight(stores, actor, request.model, f"decide_{request.id}")
    with st.form(f"promotions_decide_{request.id}"):
        why = reason()
        with st.container(horizontal=True):
            yes = st.form_submit_button("Approve", type="primary", icon=":material/check:")
            no = st.form_submit_button("Reject", icon=":material/close:")
        st.caption("The gates are evaluated again when you approve; what is in Production then becomes Archived.")
    if yes or no:
        with messages.telling(), st.spinner("Looking at the evidence again"):
            if yes:
                done = approve(stores, actor, request.id, reason=why, seen_decisions=seen)
            else:
                done = reject(stores, actor, request.id, reason=why)
            messages.say(f"{done.key}: {done.status.value} for {done.to.value}.")
            st.rerun()


def told_of_review(stores: Stores, model: str) -> None:
    """Where policy asks for several people: that one may roll back all the same, and what follows from it."""
    needed = production_approvals_needed(stores, model)
    if needed > 1:
        st.info(
            f"{needed} people have to approve before a version goes to Production. In an emergency you may roll back "
            "alone: it is marked as done by one person, and waits for a review by another manager.",
            icon=":material/group:",
        )


def target(targets: Mapping[int, bool]) -> int | None:
    """The version to roll back to, of those that core allows, with whether it was once approved."""
    words = {True: "was approved for Production", False: "never approved; another manager will review it"}
    return st.selectbox(
        "To version",
        list(targets),
        index=None,
        placeholder="the one that was in Production before",
        format_func=lambda one: f"{one} · {words[targets[one]]}",
    )


def rolled_back(stores: Stores, done: PromotionRequest) -> str:
    """What is said after a rollback."""
    told = f"{done.key} is in Production again; {len(done.gates)} checks passed."
    if needs_review(stores, done):
        told += " You did it alone: another manager reviews it."
    return told


def finish(stores: Stores, actor: Actor, request_id: str, what: str) -> None:
    """Finishes or undoes a decision that was begun and never ended."""
    st.warning(messages.plain(what), icon=":material/warning:")
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        st.info("A manager resolves it: what the registry took is carried on, what it did not take is taken back.")
        return
    with st.form(f"promotions_resolve_{request_id}"):
        why = reason()
        if st.form_submit_button("Resolve", type="primary", icon=":material/healing:"):
            with messages.telling():
                done = resolve_request(stores, actor, request_id, reason=why)
                messages.say(f"{done.key} to {done.to.value} is {done.status.value} now.")
                st.rerun()


def close(stores: Stores, actor: Actor, actions: Sequence[Difference]) -> None:
    """Writes the outcome that an action which died could not write."""
    words = {one.request_id: f"{one.subject}: {one.detail}" for one in actions if one.request_id}
    if not words:
        return
    if not session.may(actor, Action.RECONCILE_RESOLVE):
        st.info("A manager closes an action that died, with what was found out.")
        return
    with st.form("promotions_close"):
        chosen = st.selectbox("Close an action that died", list(words), format_func=lambda one: visible(words[one]))
        why = reason()
        if st.form_submit_button("Close", icon=":material/task_alt:"):
            with messages.telling():
                closed = close_action(stores, actor, chosen, reason=why)
                messages.say(f"{closed.action} of {closed.subject} is recorded as {closed.outcome.value}.")
                st.rerun()
