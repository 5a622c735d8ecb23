"""Overview: the versions in Production, pending requests, findings, risks and recent activity."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Event
from core.features.history.as_of import state_at
from core.features.monitoring.model_lines import model_lines
from core.features.monitoring.overview import Overview
from core.features.monitoring.reconcile import UNFINISHED_ACTION, UNFINISHED_REQUEST
from pages._audit import event_views, finding_views
from pages._history import as_of
from pages._live import live
from pages._overview import cards, model_table, production_timeline
from pages._promotions import takeover_view
from pages._ui import cached_readers, escaping, jobs, links, messages, session
from pages._ui.texts import t

actor = session.require(Action.MODEL_READ)
stores = session.stores()


def models(overview: Overview) -> None:
    """Show the models with their versions in Production."""
    st.subheader(t("Models") if model_table.is_long(overview.serving) else t("In Production"))
    if overview.registry_problem:
        st.warning(messages.plain(overview.registry_problem), icon=":material/cloud_off:")
        return
    if not overview.serving:
        st.info(t("No models yet. Train one on the page **Training**; a training takes about a minute."))
    model_table.draw(model_lines(overview))


def requests(overview: Overview, *, most: int | None = None) -> None:
    """Show one card per pending request, at most *most*."""
    st.subheader(t("Pending requests"))
    if not overview.waiting:
        st.caption(t("No pending requests."))
    for request in overview.waiting[:most]:
        with st.container(border=True):
            cards.request_card(request, overview.waiting_gates.get(request.id))
    if most is not None and len(overview.waiting) > most:
        number = len(overview.waiting)
        links.link("promotions", t("All {number} pending requests", number=number), promotions_status="waiting")


def findings(overview: Overview) -> None:
    """Show how many findings are open, and the first of them."""
    st.subheader(t("Open findings"))
    if not overview.findings:
        st.caption(t("No open findings."))
        return
    finding_views.count_badge(overview.findings)
    finding_views.summary(overview.findings, border=True)


def risks(overview: Overview) -> None:
    """Show risks and failed jobs; without any the section is left out."""
    if not overview.risks and not overview.failed_jobs:
        return
    st.subheader(t("Risks"))
    rows = [(risk.kind, risk.subject, risk.detail) for risk in overview.risks]
    rows += [(t("job failed"), f"{jobs.kind(job)} {job.id}", job.error or "") for job in overview.failed_jobs]
    escaping.table(pd.DataFrame(rows, columns=[t("Risk"), t("Subject"), t("Detail")]), key="overview_risks")
    if any(risk.kind in (UNFINISHED_REQUEST, UNFINISHED_ACTION) for risk in overview.risks):
        links.link("promotions", t("Resolve"), promotions_tab=t("Differences"))
    for job in overview.failed_jobs:
        jobs.link(job, t("Show job {id} ({kind})", id=job.id, kind=messages.plain(jobs.kind(job))))


def activity(events: tuple[Event, ...]) -> None:
    """Show the newest events in words."""
    st.subheader(t("Recent activity"))
    if not events:
        st.caption(t("No activity yet."))
        return
    event_views.recent_activity(events)


st.title(t("Overview"))
with messages.stop_on_error():
    if (moment := session.moment()) is not None:
        as_of.show_overview(state_at(stores, actor, moment))
        production_timeline.draw(cached_readers.stage_timelines(stores, actor, moment))
        st.stop()
    live.watch(stores, actor)
    overview = cached_readers.overview(stores, actor)
    timelines = cached_readers.stage_timelines(stores, actor)
if not overview.tables and not overview.serving:
    st.info(t("No tables yet. Ingest a CSV or Parquet file on the page **Tables**, then train a model on it."))
takeover_view.notice(overview.untaken)
if model_table.is_long(overview.serving):
    left, right = st.columns(2, gap="large")
    with left:
        requests(overview, most=3)
    with right:
        findings(overview)
    risks(overview)
    models(overview)
else:
    left, right = st.columns([5, 2], gap="large")
    with left:
        models(overview)
    with right:
        requests(overview)
        findings(overview)
        risks(overview)
production_timeline.draw(timelines)
activity(overview.changes)
