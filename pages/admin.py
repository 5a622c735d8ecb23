"""Settings: connections, people and roles, tokens, notifications, every setting with its source, and permissions."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.access.permissions import GRANTS, Action
from core.entities import Role
from core.features.admin.doctor import check_stores, list_settings
from pages._admin import identity_views, notification_views, token_forms
from pages._ui import escaping, messages, session
from pages._ui.texts import t

actor = session.require(Action.SETTINGS_READ)
stores = session.stores()
moment = session.moment()


def connections() -> None:
    """Show whether each connection works, and what to do where it does not."""
    for check in check_stores(stores):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(
                t("works") if check.ok else t("does not work"),
                icon=":material/check:" if check.ok else ":material/error:",
                color="green" if check.ok else "red",
            )
            st.markdown(f"**{messages.plain(check.name)}**", width="content")
            escaping.text(check.detail if check.ok else check.advice, width="content")


def tokens() -> None:
    """Let an admin issue and revoke tokens."""
    if moment is not None:
        st.info(t("The audit log has every token that was issued or revoked. Go back to now to manage tokens."))
    elif session.may(actor, Action.SETTINGS_WRITE):
        with messages.show_errors():
            token_forms.draw(stores, actor)
    else:
        st.info(t("Only admins can issue, list and revoke tokens. The audit log records each of these actions."))


def settings() -> None:
    """Show every setting with its source."""
    st.caption(
        t("Environment variables, lines of .env, or modelledger.toml, read when the app starts. Secrets are masked.")
    )
    rows = [
        {t("Setting"): setting.name, t("Value"): setting.detail, t("Source"): setting.source}
        for setting in list_settings(stores.settings)
    ]
    escaping.table(rows, key="admin_settings")


def grants() -> None:
    """Show which role may do which action."""
    rows = [
        {t("Action"): action.value}
        | {messages.label(role): t("● yes") if action in GRANTS[role] else "" for role in Role}
        for action in Action
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, key="admin_grants")


st.title(t("Settings"))
if moment is not None:
    st.info(t("Settings are not recorded over time. This page shows the present ones."), icon=":material/info:")
st.subheader(t("Connections"))
connections()
st.subheader(t("People and roles"))
identity_views.draw(stores.settings)
st.subheader(t("Tokens"))
tokens()
st.subheader(t("Notifications"))
if moment is None:
    notification_views.draw(stores, actor)
else:
    st.info(t("Deliveries are not recorded over time. Go back to now to see them."))
st.subheader(t("Settings"))
settings()
st.subheader(t("Permissions"))
grants()
