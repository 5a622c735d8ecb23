"""ModelLedger: page configuration, the session's actor, and the navigation with counts of what is pending."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages._live import live
from pages._server import heap
from pages._ui import navigation, session
from pages._ui.texts import t

_IMAGES = Path(__file__).parent / ".streamlit"

st.set_page_config(
    page_title=t("ModelLedger"),
    page_icon=str(_IMAGES / "favicon.png"),
    layout="wide",
    initial_sidebar_state="auto",
)
st.logo(str(_IMAGES / "logo.svg"), icon_image=str(_IMAGES / "favicon.png"), size="large")


with session.app_run() as actor:
    page, title = navigation.for_actor(actor, live.counts(actor))
    st.set_page_config(page_title=title)
    try:
        page.run()
    finally:
        heap.keep_collections_short()
