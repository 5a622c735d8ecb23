"""The timeline of stages on the page Models: one row per version, page by page, and the same as a table."""

from __future__ import annotations

import streamlit as st

from core.features.history.stage_timeline import ModelTimeline
from pages._history import timeline_chart
from pages._history.timeline_chart import Bar, Row
from pages._ui import messages, paging
from pages._ui.texts import t, tn

_PAGE = 15
_KEY = "models_timeline"


def draw(timeline: ModelTimeline | None, registry_problem: str | None) -> None:
    """Show the stages of the versions that ever had one, newest version first."""
    if registry_problem is not None:
        st.warning(messages.plain(registry_problem), icon=":material/cloud_off:")
    if timeline is None or not timeline.versions:
        st.caption(t("No version ever had a stage, as far as the registry and the audit log show."))
        return
    st.markdown(f"**{t('Stages over time')}**")
    last = paging.last_page(len(timeline.versions), _PAGE) or 1
    page = min(paging.requested_page(_KEY, of=timeline.model), last)
    rows = [
        Row(
            label=str(version.version),
            bars=tuple(
                Bar(version=version, period=period, word=messages.word(period.stage)) for period in version.periods
            ),
        )
        for version in timeline.versions[(page - 1) * _PAGE : page * _PAGE]
    ]
    timeline_chart.draw(
        rows,
        moment=timeline.moment,
        key=f"{_KEY}_chart",
        alt=t("Stages of each version of {model} over time", model=timeline.model),
    )
    notes = [t("A click on a bar opens its decision."), timeline_chart.hatched_note(rows)]
    if timeline.without_stage:
        notes.append(
            tn(
                "{n} version that never had a stage is left out.",
                "{n} versions that never had a stage are left out.",
                timeline.without_stage,
            )
        )
    if timeline.unknown:
        notes.append(
            tn(
                "{n} version is left out, because its stage at that time is not known.",
                "{n} versions are left out, because their stages at that time are not known.",
                timeline.unknown,
            )
        )
    st.caption(" ".join(filter(None, notes)))
    if last > 1:
        paging.page_box(_KEY, page, last=last, of=timeline.model)
    table = st.expander(t("Stages over time as a table"), key=f"{_KEY}_words", on_change="rerun")
    if table.open:
        with table:
            timeline_chart.words(rows, key=f"{_KEY}_table")
