"""The navigation: every screen with its place, and what a person must be allowed to do to be offered it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.access.permissions import Action, is_allowed
from core.entities import Actor

_FOLDER = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One file of pages/, its place in the navigation, and the action that its guard asks for."""

    name: str
    title: str
    icon: str
    action: Action
    section: str = ""

    def page(self, *, visible: bool, default: bool = False) -> st.Page:
        return st.Page(
            _FOLDER / f"{self.name}.py",
            title=self.title,
            icon=self.icon,
            # A default page is served at "/" and keeps the address that it is given from every other page.
            url_path="home" if default else self.name,
            default=default,
            visibility="visible" if visible else "hidden",
        )


def _screen(section: str, name: str, title: str, icon: str, action: Action) -> Screen:
    return Screen(name=name, title=title, icon=f":material/{icon}:", action=action, section=section)


SCREENS = (
    _screen("", "overview", "Overview", "dashboard", Action.MODEL_READ),
    _screen("Data", "tables", "Tables", "table", Action.DATA_READ),
    _screen("Data", "sql", "SQL", "terminal", Action.DATA_QUERY),
    _screen("Models", "training", "Training", "model_training", Action.RUN_READ),
    _screen("Models", "runs", "Compare runs", "compare", Action.RUN_READ),
    _screen("Models", "models", "Models", "deployed_code", Action.MODEL_READ),
    _screen("Models", "promotions", "Promotions", "gavel", Action.PROMOTION_READ),
    _screen("Models", "predictions", "Predictions", "insights", Action.PREDICTION_READ),
    _screen("Proof", "lineage", "Lineage", "account_tree", Action.LINEAGE_READ),
    _screen("Proof", "audit", "Audit log", "receipt_long", Action.AUDIT_READ),
    _screen("Proof", "admin", "Settings", "settings", Action.SETTINGS_READ),
)
FRONT = SCREENS[0]

_ANEW = "navigation.anew"


def for_actor(actor: Actor) -> st.Page:
    """Draws the navigation of what *actor* may see and returns the page that the address names.

    A screen that is not offered keeps its address: its own guard says who may see it, and that is recorded.
    """
    return st.navigation(_sections(actor))


def for_nobody() -> None:
    """No navigation; every address is known all the same, so that none is told to be missing."""
    st.navigation(_sections(None), position="hidden")


def go_through_app() -> None:
    """Starts the first run of a session anew, through app.py, whatever address it came by.

    Until some session drew a navigation, Streamlit goes by the files in pages/: a page that is opened by its own
    address has a navigation of file names, and what the front page's address holds is taken for that one page's and
    lost with the first click. Where a page is itself the script (`streamlit run pages/audit.py`, AppTest) it starts
    anew as itself.
    """
    if _ANEW not in st.session_state:
        st.session_state[_ANEW] = True
        for_nobody()
        st.rerun()


def _sections(actor: Actor | None) -> dict[str, list[st.Page]]:
    sections: dict[str, list[st.Page]] = {}
    for screen in SCREENS:
        offered = actor is not None and is_allowed(actor, screen.action)
        sections.setdefault(screen.section, []).append(screen.page(default=screen is FRONT, visible=offered))
    # What a person types, who wants the front page by its name.
    sections[FRONT.section].append(FRONT.page(visible=False))
    return sections
