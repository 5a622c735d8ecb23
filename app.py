"""ModelLedger: page config, who is here, and the navigation. No data and no rules in here."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages._server import heap
from pages._ui import navigation, session

_LOOK = Path(__file__).parent / ".streamlit"

st.set_page_config(
    page_title="ModelLedger",
    page_icon=str(_LOOK / "favicon.png"),
    layout="wide",
    initial_sidebar_state="auto",
)
st.logo(str(_LOOK / "logo.svg"), icon_image=str(_LOOK / "favicon.png"), size="large")


with session.opened() as actor:
    page = navigation.for_actor(actor)
    try:
        page.run()
    finally:
        heap.keep_collections_short()
