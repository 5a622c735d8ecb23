"""ModelLedger: page config, who is here, and the navigation. No data and no rules in here."""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st

from core.permissions import Action
from pages.shared import session

st.set_page_config(
    page_title="ModelLedger",
    page_icon=str(Path(__file__).parent / ".streamlit" / "favicon.png"),
    layout="wide",
    initial_sidebar_state="auto",
)


@st.cache_resource(show_spinner=False)
def freeze(page: str) -> None:
    """Streamlit collects garbage after every rerun; what a page imported stays, and need not be looked at."""
    gc.collect()
    gc.freeze()


# Section, file, title, icon, and what a person must be allowed to do for the page to be offered.
PAGES = (
    ("", "overview", "Overview", ":material/dashboard:", Action.MODEL_READ),
    ("Data", "tables", "Tables", ":material/table:", Action.DATA_READ),
    ("Data", "sql", "SQL", ":material/terminal:", Action.DATA_QUERY),
    ("Models", "training", "Training", ":material/model_training:", Action.RUN_READ),
    ("Models", "runs", "Compare runs", ":material/compare:", Action.RUN_READ),
    ("Models", "models", "Models", ":material/deployed_code:", Action.MODEL_READ),
    ("Models", "promotions", "Promotions", ":material/gavel:", Action.PROMOTION_READ),
    ("Models", "predictions", "Predictions", ":material/insights:", Action.PREDICTION_READ),
    ("Proof", "lineage", "Lineage", ":material/account_tree:", Action.LINEAGE_READ),
    ("Proof", "audit", "Audit log", ":material/receipt_long:", Action.AUDIT_READ),
    ("Proof", "admin", "Settings", ":material/settings:", Action.SETTINGS_READ),
)

with session.opened() as actor:
    sections: dict[str, list[st.Page]] = {}
    for section, name, title, icon, action in PAGES:
        file = Path(__file__).parent / "pages" / f"{name}.py"
        if session.may(actor, action) and file.is_file():
            sections.setdefault(section, []).append(
                st.Page(file, title=title, icon=icon, url_path=name, default=name == "overview")
            )
    page = st.navigation(sections)
    try:
        page.run()
    finally:
        freeze(page.url_path)
