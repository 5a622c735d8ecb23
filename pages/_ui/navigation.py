"""The navigation: every screen with its section and the action that a person needs for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from core.access.permissions import Action, is_allowed
from core.entities import Actor
from core.texts import text
from pages._ui.texts import t, translated

_FOLDER = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Screen:
    """One file of pages/, its place in the navigation, and the action that its guard requires."""

    name: str
    title: str
    icon: str
    action: Action
    section: str = ""

    def page(self, *, visible: bool, default: bool = False, count: int = 0) -> st.Page:
        title = translated(self.title)
        return st.Page(
            _FOLDER / f"{self.name}.py",
            title=t("{page} ({count})", page=title, count=count) if count else title,
            icon=self.icon,
            # The default page is served at "/" and keeps the address that other pages link to.
            url_path="home" if default else self.name,
            default=default,
            visibility="visible" if visible else "hidden",
        )


def _screen(section: str, name: str, title: str, icon: str, action: Action) -> Screen:
    return Screen(name=name, title=title, icon=f":material/{icon}:", action=action, section=section)


_DATA, _MODELS, _EVIDENCE = text("Data"), text("Models"), text("Evidence")
SCREENS = (
    _screen("", "overview", text("Overview"), "dashboard", Action.MODEL_READ),
    _screen(_DATA, "tables", text("Tables"), "table", Action.DATA_READ),
    _screen(_DATA, "sql", text("SQL"), "terminal", Action.DATA_QUERY),
    _screen(_MODELS, "training", text("Training"), "model_training", Action.RUN_READ),
    _screen(_MODELS, "runs", text("Compare runs"), "compare", Action.RUN_READ),
    _screen(_MODELS, "models", text("Models"), "deployed_code", Action.MODEL_READ),
    _screen(_MODELS, "promotions", text("Promotions"), "gavel", Action.PROMOTION_READ),
    _screen(_MODELS, "predictions", text("Predictions"), "insights", Action.PREDICTION_READ),
    _screen(_EVIDENCE, "lineage", text("Lineage"), "account_tree", Action.LINEAGE_READ),
    _screen(_EVIDENCE, "audit", text("Audit log"), "receipt_long", Action.AUDIT_READ),
    _screen(_EVIDENCE, "admin", text("Settings"), "settings", Action.SETTINGS_READ),
)
FRONT = SCREENS[0]

_RESTARTED = "navigation.restarted"


def for_actor(actor: Actor, counts: Mapping[str, int]) -> tuple[st.Page, str]:
    """Draw the navigation for *actor*; return the page that the address names, and the title of the browser's tab.

    *counts* says how much is pending on a screen, by its name. A screen that the navigation does not offer keeps its
    address: its guard refuses and records the attempt.
    """
    page = st.navigation(_sections(actor, counts))
    screen = next((screen for screen in SCREENS if screen.name == page.url_path), FRONT)
    values = {"page": translated(screen.title), "count": sum(counts.values())}
    if values["count"]:
        return page, t("({count}) {page} · ModelLedger", **values)
    return page, t("{page} · ModelLedger", **values)


def for_nobody() -> None:
    """Draw no navigation, but register every address, so that Streamlit reports none as missing."""
    st.navigation(_sections(None, {}), position="hidden")


def go_through_app() -> None:
    """Restart the first run of a session through app.py, whatever address it has.

    Until a session has drawn a navigation, Streamlit uses the files in pages/: a page that is opened by its own
    address shows a navigation of file names, and the parameters of the front page's address belong to that page only
    and are lost with the first click. A page that is itself the script (`streamlit run pages/audit.py`, AppTest)
    restarts as itself.
    """
    if _RESTARTED not in st.session_state:
        st.session_state[_RESTARTED] = True
        for_nobody()
        st.rerun()


def _sections(actor: Actor | None, counts: Mapping[str, int]) -> dict[str, list[st.Page]]:
    sections: dict[str, list[st.Page]] = {}
    for screen in SCREENS:
        offered = actor is not None and is_allowed(actor, screen.action)
        sections.setdefault(translated(screen.section), []).append(
            screen.page(default=screen is FRONT, visible=offered, count=counts.get(screen.name, 0))
        )
    # The front page also has an address with its own name.
    sections[translated(FRONT.section)].append(FRONT.page(visible=False))
    return sections
