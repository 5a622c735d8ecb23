"""Jobs on a page: progress, log and result of one job, a button that cancels it, and the list of past jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Job, ModelVersionKey
from core.errors import JobNotFound
from core.features.jobs.jobs import cancel_job, job_lines, list_jobs, show_job
from core.features.stores import Stores
from core.texts import text
from pages._ui import escaping, links, messages, paging, pickers, session
from pages._ui.texts import t, tn, translated

_KINDS = {
    "train": text("Training"),
    "score": text("Scoring"),
    "reproduce": text("Reproduction"),
    "head-to-head": text("Comparison"),
    "evaluate": text("Evaluation"),
    "why-moved": text("Change of KPIs"),
    "accept": text("Acceptance"),
}
_LINES = 300
_PAGE = 50


def watch(
    stores: Stores, actor: Actor, job_id: str, *, key: str, only: Mapping[str, object] | None = None
) -> Job | None:
    """Show the job and return it. A job that is not over is read again every 1.5 seconds.

    A job whose arguments differ from *only* is not shown: the address belongs to another view.
    """
    shown: Job | None = None
    with messages.show_errors():
        job = show_job(stores, actor, job_id)
        if any(job.arguments.get(name) != value for name, value in (only or {}).items()):
            return None
        if job.status.is_over:
            _draw(stores, actor, job, key)
        else:
            _live(stores, actor, job_id, key, session.sign_in_check())
        shown = job
    return shown


@st.fragment(run_every=1.5)
def _live(stores: Stores, actor: Actor, job_id: str, key: str, require_signed_in: Callable[[], None]) -> None:
    """Show a job that runs. A fragment reruns without the page and its guard, as long as the tab is open."""
    with messages.show_errors():
        require_signed_in()
        job = show_job(stores, actor, job_id)
        if job.status.is_over:
            st.rerun()
        _draw(stores, actor, job, key)


def _draw(stores: Stores, actor: Actor, job: Job, key: str) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{messages.plain(kind(job))}** `{job.id}`", width="content")
            messages.badge(job.status)
            st.caption(
                f"{messages.plain(job.actor)}, {messages.local_time(job.created, seconds=True)}", width="content"
            )
        if job.error:
            st.error(messages.plain(job.error), icon=":material/error:")
        else:
            st.progress(job.progress, text=messages.plain(job.step or messages.word(job.status)))
        lines = job_lines(stores, actor, job.id)
        with st.expander(tn("Log ({n} line)", "Log ({n} lines)", len(lines)), expanded=not job.status.is_over):
            escaping.code("\n".join(f"{messages.timestamp(line.time)}  {line.text}" for line in lines[-_LINES:]) or "–")
        if not job.status.is_over and session.may(actor, Action.JOB_CANCEL):
            is_asked = job.cancel_requested
            if st.button(t("Cancel"), icon=":material/cancel:", key=f"{key}_cancel", disabled=is_asked):
                cancel_job(stores, actor, job.id)
                st.rerun()


def watch_version(stores: Stores, actor: Actor, key: ModelVersionKey, *, kind: str, address: str) -> None:
    """Show the job of a *kind* on a model version: the one that the address names, or else one that is not over."""
    arguments = {"model": key.model, "model_version": key.version}
    job_id = st.query_params.get(address)
    if not job_id:
        live = list_jobs(stores, actor, kind=kind, live_only=True)
        job_id = next((job.id for job in live if arguments.items() <= job.arguments.items()), None)
    if job_id:
        watch(stores, actor, job_id, key=f"{address}_watch", only=arguments)


def kind(job: Job) -> str:
    """Return what the job does, in the language of the session."""
    return translated(_KINDS[job.kind]) if job.kind in _KINDS else job.kind


def label(subject: str, job: Job) -> str:
    """Return one line for a list of jobs: *subject*, status and the time of its creation."""
    return f"{subject} · {messages.label(job.status)} · {messages.local_time(job.created, seconds=True)}"


def link(job: Job, label: str) -> None:
    """Draw a link to the page that shows this job. *label* is Markdown."""
    if job.kind == "train":
        links.link("training", label, training_tab=t("Jobs"), training_job=job.id)
    elif job.kind == "score":
        links.link("predictions", label, predictions_job=job.id)
    elif job.kind == "reproduce":
        version = {"models_model": str(job.arguments["model"]), "models_version": str(job.arguments["model_version"])}
        links.link("models", label, models_tab=t("Reproduce"), models_again=job.id, **version)
    elif job.kind == "head-to-head":
        version = {"models_model": str(job.arguments["model"]), "models_version": str(job.arguments["model_version"])}
        links.link("models", label, models_tab=t("Head to head"), models_compared=job.id, **version)
    elif job.kind == "why-moved":
        version = {"models_model": str(job.arguments["model"]), "models_version": str(job.arguments["model_version"])}
        links.link("models", label, models_tab=t("Why did the KPI move?"), models_moved=job.id, **version)
    elif job.kind == "accept":
        links.link("promotions", label, promotions_tab=t("Differences"), promotions_accept=job.id)


def history(
    stores: Stores, actor: Actor, total: int, *, kind: str, key: str, label: Callable[[Job], str]
) -> str | None:
    """Show all *total* jobs of a kind, newest first, page by page; return the id of the chosen job.

    The address keeps the id as *key*. *label* returns a job's line in the list to choose from.
    """
    last = paging.last_page(total, _PAGE)
    number = min(paging.requested_page(f"{key}s_page", of=kind), last or 1)
    jobs = list_jobs(stores, actor, kind=kind, limit=_PAGE, offset=(number - 1) * _PAGE)
    table(jobs, key=f"{key}s")
    if last != 1:
        paging.page_box(f"{key}s_page", number, last=last, of=kind)
    options = {job.id: label(job) for job in jobs}
    linked = st.query_params.get(key)
    if linked and linked not in options:
        with suppress(JobNotFound):  # the picker reports it
            options[linked] = label(show_job(stores, actor, linked))
    return pickers.choose(t("Job"), list(options), key, labels=options, index=None)


def table(jobs: Sequence[Job], *, key: str) -> None:
    """Show *jobs* in the order given."""
    rows = [
        {
            t("Job"): job.id,
            t("Status"): messages.label(job.status),
            t("Created"): job.created,
            t("By"): job.actor,
            t("Arguments"): ", ".join(
                f"{name}={value}" for name, value in job.arguments.items() if value not in (None, "", {})
            ),
            t("Progress"): job.progress,
            t("Result"): job.error or job.step,
        }
        for job in jobs
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        key=key,
        column_config={
            t("Created"): messages.time_column(t("Created")),
            t("Progress"): st.column_config.ProgressColumn(t("Progress"), min_value=0, max_value=1, format="percent"),
        },
    )
