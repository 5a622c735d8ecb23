"""Production over time on the Overview: one row per model, the most recently changed first, page by page."""

from __future__ import annotations

import streamlit as st

from core.entities import Stage
from core.features.history.stage_timeline import Timelines
from pages._history import timeline_chart
from pages._history.timeline_chart import Bar, Row
from pages._ui import paging
from pages._ui.texts import t, tn

_PAGE = 15
_KEY = "overview_timeline"


def draw(timelines: Timelines) -> None:
    """Show which version of each model was in Production when; models that never had one are counted."""
    shown = [(timeline, timeline.in_stage(Stage.PRODUCTION)) for timeline in timelines.models]
    shown = [(timeline, periods) for timeline, periods in shown if periods]
    if not shown:
        return
    st.subheader(t("Production over time"))
    last = paging.last_page(len(shown), _PAGE) or 1
    page = min(paging.requested_page(_KEY, of=""), last)
    rows = [
        Row(
            label=timeline.model,
            bars=tuple(Bar(version=version, period=period, word=str(version.version)) for version, period in periods),
        )
        for timeline, periods in shown[(page - 1) * _PAGE : page * _PAGE]
    ]
    timeline_chart.draw(
        rows,
        moment=shown[0][0].moment,
        key=f"{_KEY}_chart",
        alt=t("Versions in Production over time, one row per model"),
    )
    notes = [t("The number on a bar is the version. A click on a bar opens its decision.")]
    notes.append(timeline_chart.hatched_note(rows))
    if never := len(timelines.models) - len(shown):
        notes.append(
            tn(
                "{n} model never had a version in Production, as far as is known.",
                "{n} models never had a version in Production, as far as is known.",
                never,
            )
        )
    st.caption(" ".join(filter(None, notes)))
    if last > 1:
        paging.page_box(_KEY, page, last=last, of="")
    table = st.expander(t("Production over time as a table"), key=f"{_KEY}_words", on_change="rerun")
    if table.open:
        with table:
            timeline_chart.words(rows, key=f"{_KEY}_table")
