"""Overview: what serves now, what waits for a decision, what changed lately, what is at risk."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Event, Finding
from core.features.monitoring.findings import findings_about_model, findings_about_version
from core.features.monitoring.overview import Overview, Serving
from core.features.monitoring.reconcile import UNFINISHED_ACTION, UNFINISHED_REQUEST
from core.features.promotion.review import EMERGENCY_ROLLBACK
from core.learning.kpis import is_lower_better
from pages._audit import event_views, finding_views
from pages._history import as_of
from pages._ui import cached_readers, escaping, jobs, links, messages, session

actor = session.require(Action.MODEL_READ)
stores = session.stores()


def serving(found: Overview) -> None:
    st.subheader("In Production")
    if found.registry_problem:
        st.warning(messages.plain(found.registry_problem), icon=":material/cloud_off:")
        return
    if not found.serving:
        st.info("No model is registered yet. Start a training on the page **Training**; it takes a minute.")
    for one in found.serving:
        with st.container(border=True):
            _model(one, findings_about_model(found.findings, one.model))


def _model(one: Serving, findings: tuple[Finding, ...]) -> None:
    name, action = st.columns([5, 2], vertical_alignment="center")
    with name, st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{messages.plain(one.model)}**", width="content")
        if one.production is None:
            st.badge("nothing in Production", icon=":material/circle:", color="gray")
        else:
            messages.badge(one.production.stage)
            st.markdown(f"version {one.production.version} of {one.versions}", width="content")
        if findings:
            finding_views.count(findings)
    with action:
        links.link("models", "Its versions", models_model=one.model)
    if one.production is None:
        wait = "1 version waits" if one.versions == 1 else f"{one.versions} versions wait"
        st.caption(f"{wait}. A data scientist asks for Production on the page Promotions.")
        return
    _facts(one)
    alone = next(
        (f for f in findings_about_version(findings, one.production.key) if f.kind == EMERGENCY_ROLLBACK), None
    )
    if alone is not None:
        finding_views.review_badge(alone)
    with st.container(horizontal=True, gap="medium"):
        for metric, value in one.metrics.items():
            known = [found for found in one.trend.get(metric, ()) if found is not None]
            better = "Lower" if is_lower_better(metric) else "Higher"
            st.metric(
                messages.plain(metric),
                f"{value:.4g}",
                chart_data=known if len(known) > 1 else None,
                help=f"{better} is better. The line: all versions, oldest first.",
                width=128,
            )


def _facts(one: Serving) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        who = f"by {messages.plain(one.decided_by)}" if one.decided_by else "not decided here"
        st.caption(f"since {messages.local(one.since)}, {who}", width="content")
        st.caption(f"trained on {messages.plain(one.data) if one.data else 'unknown data'}", width="content")
        if one.verdict is not None:
            messages.badge(one.verdict.verdict)


def waiting(found: Overview) -> None:
    st.subheader("Waits for a decision")
    if not found.waiting:
        st.caption("Nothing waits.")
    for request in found.waiting:
        failed = [gate.name for gate in request.gates if not gate.passed]
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{messages.plain(request.key)}** to", width="content")
                messages.badge(request.to)
            st.caption(f"asked by {messages.plain(request.requested_by)}, {messages.local(request.requested_at)}")
            escaping.text(request.request_reason)
            if failed:
                st.badge(f"{len(failed)} of {len(request.gates)} gates fail", icon=":material/close:", color="red")
            else:
                st.badge(f"all {len(request.gates)} gates pass", icon=":material/check:", color="green")
            links.link("promotions", "Decide", promotions_request=request.id)


def to_look_into(found: Overview) -> None:
    st.subheader("To look into")
    if not found.findings:
        st.caption("No finding is open.")
        return
    finding_views.count(found.findings)
    finding_views.brief(found.findings, border=True)


def at_risk(found: Overview) -> None:
    if not found.risks and not found.failed_jobs:
        return
    st.subheader("At risk")
    rows = [{"What": risk.kind, "Subject": risk.subject, "Detail": risk.detail} for risk in found.risks]
    failed = [(f"{job.kind} {job.id}", job.error or "") for job in found.failed_jobs]
    rows += [{"What": "job failed", "Subject": subject, "Detail": error} for subject, error in failed]
    escaping.table(pd.DataFrame(rows), key="overview_risks")
    if any(risk.kind in (UNFINISHED_REQUEST, UNFINISHED_ACTION) for risk in found.risks):
        links.link("promotions", "Resolve it", promotions_tab="Differences")
    for job in found.failed_jobs:
        jobs.link(job, f"Look at {messages.plain(job.kind)} {job.id}")


def changes(events: tuple[Event, ...]) -> None:
    st.subheader("Changed lately")
    if not events:
        st.caption("Nothing happened yet.")
        return
    event_views.lately(events)


st.title("Overview")
with messages.stopping():
    then = as_of.state(stores, actor)
    if then is not None:
        as_of.overview(then)
        st.stop()
    found = cached_readers.overview(stores, actor)
if not found.tables and not found.serving:
    st.info("Nothing is here yet. Ingest a CSV or Parquet file on the page **Tables**, then train on it.")
left, right = st.columns([5, 2], gap="large")
with left:
    serving(found)
with right:
    waiting(found)
    to_look_into(found)
    at_risk(found)
changes(found.changes)
