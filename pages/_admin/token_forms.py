"""Tokens on a page: a form that issues a token and shows its text once, the list, and a form that revokes one."""

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
from pages._ui.texts import t


def draw(stores: Stores, actor: Actor) -> None:
    """Draw the forms and the list. The text of a token is shown only in the run that issues it."""
    st.caption(
        t(
            "The command line and scheduled jobs use a token, in the variable MODELLEDGER_TOKEN. Only the SHA-256 of "
            "the token is kept, so the token is shown once."
        )
    )
    _issue(stores, actor)
    tokens = list_tokens(stores, actor)
    if not tokens:
        st.info(t("No tokens yet. Issue one with the form above."))
        return
    _table(tokens)
    _revoke(stores, actor, [token for token in tokens if token.state(datetime.now(UTC)) is TokenState.VALID])


def _issue(stores: Stores, actor: Actor) -> None:
    roles = [*Role]
    role = st.selectbox(
        t("Role of the new token"),
        roles,
        format_func=messages.word,
        key="admin_token_role",
        help=t("The token can do what this role can do."),
    )
    decides = Action.PROMOTION_DECIDE in GRANTS[role]
    with st.form("admin_token_issue", clear_on_submit=True):
        left, right = st.columns([3, 1])
        name = left.text_input(
            t("Name"), max_chars=200, help=t("The person or program that uses the token. The audit log shows it.")
        )
        days = right.number_input(
            t("Days"), 1, MAX_DAYS, 90, step=1, help=t("Days until the token expires, at most {most}.", most=MAX_DAYS)
        )
        reason = st.text_input(t("Reason"), placeholder=t("Kept in the audit log"), max_chars=500)
        allow_decisions = st.checkbox(
            t("Allow decisions without a person"),
            disabled=not decides,
            help=None if decides else t("Only the role manager decides on promotions."),
        )
        if not decides:
            st.caption(t("A token of the role {role} cannot approve, reject or roll back.", role=messages.word(role)))
        is_pressed = st.form_submit_button(t("Issue token"), type="primary", icon=":material/key:")
    if is_pressed:
        with messages.show_errors():
            token, secret = issue_token(
                stores,
                actor,
                name=(name or "").strip(),
                role=role,
                days=int(days),
                allow_decisions=allow_decisions,
                reason=reason or "",
            )
            st.success(
                t(
                    "Token {id} of {name} was issued. Copy it now: it is not shown again.",
                    id=token.id,
                    name=messages.plain(token.name),
                ),
                icon=":material/key:",
            )
            # The token is in no state, so the next run cannot show it. A code block has a copy button.
            escaping.code(secret)


def _table(tokens: Sequence[Token]) -> None:
    now = datetime.now(UTC)
    created, expires, revoked = times = (t("Created"), t("Expires"), t("Revoked"))
    rows = [
        {
            t("State"): messages.label(token.state(now)),
            t("Name"): token.name,
            t("Role"): messages.label(token.role),
            t("Issued by"): token.issued_by,
            created: token.created,
            expires: token.expires,
            revoked: token.revoked,
            t("Revoked by"): token.revoked_by,
            t("Id"): token.id,
        }
        for token in reversed(tokens)
    ]
    escaping.table(
        pd.DataFrame(rows).astype(dict.fromkeys(times, "datetime64[ns, UTC]")),
        style=messages.coloured,
        placeholder="–",
        column_config={name: messages.time_column(name) for name in times},
        alt=t("Tokens, newest first"),
        key="admin_tokens",
    )


def _revoke(stores: Stores, actor: Actor, valid: Sequence[Token]) -> None:
    if not valid:
        return
    labels = {
        token.id: " · ".join(
            (
                token.name,
                messages.word(token.role),
                t("until {time}", time=messages.local_time(token.expires)),
                token.id,
            )
        )
        for token in valid
    }
    with st.form("admin_token_revoke", clear_on_submit=True):
        chosen = st.selectbox(
            t("Token to revoke"),
            list(labels),
            index=None,
            format_func=lambda token_id: visible(labels[token_id]),
            placeholder=t("Choose a token"),
        )
        reason = st.text_input(t("Reason for revoking"), max_chars=500, placeholder=t("Kept in the audit log"))
        is_pressed = st.form_submit_button(t("Revoke token"), icon=":material/block:")
    if not is_pressed:
        return
    if chosen is None:
        st.error(t("Choose the token to revoke."), icon=":material/error:")
        return
    with messages.show_errors():
        revoke_token(stores, actor, chosen, reason=require_reason(reason or ""))
        st.rerun()
