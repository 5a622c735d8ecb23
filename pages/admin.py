"""Settings: connections, who is who, tokens, every setting with its source, and what each role may do."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.access.permissions import GRANTS, Action
from core.entities import Role
from core.features.admin.doctor import check_stores, list_settings
from pages._admin import identity_views, token_forms
from pages._ui import escaping, messages, session

actor = session.require(Action.SETTINGS_READ)
stores = session.stores()


def connections() -> None:
    for check in check_stores(stores):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(
                "ok" if check.ok else "not ok",
                icon=":material/check:" if check.ok else ":material/error:",
                color="green" if check.ok else "red",
            )
            st.markdown(f"**{messages.plain(check.name)}**", width="content")
            escaping.text(check.detail if check.ok else check.advice, width="content")


def tokens() -> None:
    if session.may(actor, Action.SETTINGS_WRITE):
        with messages.telling():
            token_forms.draw(stores, actor)
    else:
        st.info("An admin issues, lists and revokes tokens; the audit log shows each of these.")


def settings() -> None:
    st.caption("Set by environment variables or lines of .env, read when the app starts. Secrets are masked.")
    rows = [{"Setting": s.name, "Value": s.detail, "From": s.source} for s in list_settings(stores.settings)]
    escaping.table(rows, key="admin_settings")


def grants() -> None:
    rows = [
        {"Action": action.value} | {messages.word(role): "● yes" if action in GRANTS[role] else "" for role in Role}
        for action in Action
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, key="admin_grants")


st.title("Settings")
st.subheader("Connections")
connections()
st.subheader("Who is who")
identity_views.draw(stores.settings)
st.subheader("Tokens")
tokens()
st.subheader("Settings")
settings()
st.subheader("Who may do what")
grants()
