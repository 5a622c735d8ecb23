"""ModelLedger: page config, who is here, and the navigation. No data and no rules in here."""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st

from pages.shared import navigation, session

_LOOK = Path(__file__).parent / ".streamlit"

st.set_page_config(
    page_title="ModelLedger",
    page_icon=str(_LOOK / "favicon.png"),
    layout="wide",
    initial_sidebar_state="auto",
)
st.logo(str(_LOOK / "logo.svg"), icon_image=str(_LOOK / "favicon.png"), size="large")


@st.cache_resource(show_spinner=False)
def freeze(page: str) -> None:
    """Streamlit collects garbage after every rerun; what a page imported stays, and need not be looked at."""
    gc.collect()
    gc.freeze()


with session.opened() as actor:
    page = navigation.for_actor(actor)
    try:
        page.run()
    finally:
        freeze(page.url_path)
