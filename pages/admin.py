"""Settings: every setting with its source, every connection, and what each role may do."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import Role
from core.permissions import GRANTS, Action
from core.services.doctor import check_stores, list_settings
from pages.shared import inert, messages, session

session.require(Action.SETTINGS_READ)
stores = session.stores()

st.title("Settings")
st.subheader("Connections")
for check in check_stores(stores):
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(
            "ok" if check.ok else "not ok",
            icon=":material/check:" if check.ok else ":material/error:",
            color="green" if check.ok else "red",
        )
        st.markdown(f"**{messages.plain(check.name)}**", width="content")
        inert.text(check.detail if check.ok else check.advice, width="content")
st.subheader("Settings")
st.caption("Set by environment variables or lines of .env, read when the app starts. Secrets are masked.")
inert.table(
    pd.DataFrame([{"setting": s.name, "value": s.detail, "from": s.source} for s in list_settings(stores.settings)]),
    key="admin_settings",
)
st.subheader("Who may do what")
inert.table(
    pd.DataFrame(
        [
            {"action": action.value} | {role.value: "yes" if action in GRANTS[role] else "" for role in Role}
            for action in Action
        ]
    ),
    key="admin_grants",
)
