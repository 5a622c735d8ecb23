"""Tokens on a page: the list, a form that issues one and shows its text this once, a form that revokes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.access.permissions import GRANTS, Action
from core.entities import Actor, Role, Token, TokenState
from core.escaping import visible
from core.features.admin.tokens import MAX_DAYS, issue_token, list_tokens, revoke_token
from core.features.promotion.reason import require_reason
from core.features.stores import Stores
from pages._ui import escaping, messages

_TIMES = ("Created", "Expires", "Revoked")


def draw(stores: Stores, actor: Actor) -> None:
    """Issue, list, revoke: what was issued a moment ago is in the list, its text above it and nowhere else."""
    st.caption(
        "The command line and scheduled jobs act by a token, put into the variable MODELLEDGER_TOKEN. Only its SHA-256 "
        "is kept, so its text is shown once."
    )
    _issue(stores, actor)
    found = list_tokens(stores, actor)
    if not found:
        st.info("No token was issued yet.")
        return
    _table(found)
    _revoke(stores, actor, [one for one in found if one.state(datetime.now(UTC)) is TokenState.VALID])


def _issue(stores: Stores, actor: Actor) -> None:
    roles = list(Role)
    role = st.selectbox(
        "Role of a new token",
        roles,
        format_func=lambda one: one.value,
        key="admin_token_role",
        help="It may do what this role may do, and nothing else.",
    )
    decides = Action.PROMOTION_DECIDE in GRANTS[role]
    with st.form("admin_token_issue", clear_on_submit=True):
        left, right = st.columns([3, 1])
        name = left.text_input("Name", max_chars=200, help="Who or what acts by it; it stands in the audit log.")
        days = right.number_input("Days", 1, MAX_DAYS, 90, step=1, help=f"How long it holds, at most {MAX_DAYS}.")
        reason = st.text_input("Why", placeholder="for the audit log", max_chars=500)
        meant = st.checkbox(
            "It is meant to decide without a person",
            disabled=not decides,
            help=None
            if decides
            else "Only the role manager decides on promotions; a token of another role never does.",
        )
        if not decides:
            st.caption(f"A token of the role {role.value} cannot approve, reject or roll back.")
        asked = st.form_submit_button("Issue", type="primary", icon=":material/key:")
    if asked:
        with messages.telling():
            token, text = issue_token(
                stores,
                actor,
                name=(name or "").strip(),
                role=role,
                days=int(days),
                allow_decisions=meant,
                reason=reason or "",
            )
            st.success(
                f"Token {token.id} of {messages.plain(token.name)}. Copy its text now: it is not shown again.",
                icon=":material/key:",
            )
            # In no state: the next run of this page knows nothing of it. A code block has a button that copies.
            escaping.code(text)


def _table(found: Sequence[Token]) -> None:
    now = datetime.now(UTC)
    rows = [
        {
            "State": messages.word(token.state(now)),
            "Name": token.name,
            "Role": messages.word(token.role),
            "Issued by": token.issued_by,
            "Created": token.created,
            "Expires": token.expires,
            "Revoked": token.revoked,
            "Revoked by": token.revoked_by,
            "Id": token.id,
        }
        for token in reversed(found)
    ]
    escaping.table(
        pd.DataFrame(rows).astype(dict.fromkeys(_TIMES, "datetime64[ns, UTC]")),
        style=messages.coloured,
        placeholder="–",
        column_config={name: messages.time_column(name) for name in _TIMES},
        alt="Tokens, newest first",
        key="admin_tokens",
    )


def _revoke(stores: Stores, actor: Actor, valid: Sequence[Token]) -> None:
    if not valid:
        return
    words = {one.id: f"{one.name} · {one.role.value} · until {messages.local(one.expires)} · {one.id}" for one in valid}
    with st.form("admin_token_revoke", clear_on_submit=True):
        chosen = st.selectbox(
            "Revoke a token",
            list(words),
            index=None,
            format_func=lambda one: visible(words[one]),
            placeholder="which one",
        )
        reason = st.text_input("Why it ends", max_chars=500, placeholder="for the audit log")
        asked = st.form_submit_button("Revoke", icon=":material/block:")
    if not asked:
        return
    if chosen is None:
        st.error("Choose the token that ends.", icon=":material/error:")
        return
    with messages.telling():
        revoke_token(stores, actor, chosen, reason=require_reason(reason or ""))
        st.rerun()
