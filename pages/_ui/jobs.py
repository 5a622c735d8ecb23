"""Jobs on a page: progress and log of one while it runs, cancel, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Job
from core.errors import JobNotFound
from core.features.jobs.jobs import cancel_job, job_lines, list_jobs, show_job
from core.features.stores import Stores
from pages._ui import escaping, links, messages, paging, pickers, session

_LINES = 300
_PAGE = 50


def watch(
    stores: Stores, actor: Actor, job_id: str, *, key: str, only: Mapping[str, object] | None = None
) -> Job | None:
    """Shows the job and returns it; while it is not over it is looked at again every second or so.

    A job with other arguments than *only* names is not shown: the address was that of another view.
    """
    watched: Job | None = None
    with messages.telling():
        job = show_job(stores, actor, job_id)
        if any(job.arguments.get(name) != value for name, value in (only or {}).items()):
            return None
        if job.status.is_over:
            _draw(stores, actor, job, key)
        else:
            _live(stores, actor, job_id, key, session.presence())
        watched = job
    return watched


@st.fragment(run_every=1.5)
def _live(stores: Stores, actor: Actor, job_id: str, key: str, still_here: Callable[[], None]) -> None:
    """Runs without the page and its guard, as long as the tab is open."""
    with messages.telling():
        still_here()
        job = show_job(stores, actor, job_id)
        if job.status.is_over:
            st.rerun()
        _draw(stores, actor, job, key)


def _draw(stores: Stores, actor: Actor, job: Job, key: str) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{messages.plain(job.kind)}** `{job.id}`", width="content")
            messages.badge(job.status)
            st.caption(f"{messages.plain(job.actor)}, {messages.local(job.created, seconds=True)}", width="content")
        if job.error:
            st.error(messages.plain(job.error), icon=":material/error:")
        else:
            st.progress(job.progress, text=messages.plain(job.step or job.status.value))
        lines = job_lines(stores, actor, job.id)
        with st.expander(f"Log ({len(lines)} lines)", expanded=not job.status.is_over):
            escaping.code("\n".join(f"{messages.stamp(line.time)}  {line.text}" for line in lines[-_LINES:]) or "–")
        if not job.status.is_over and session.may(actor, Action.JOB_CANCEL):
            stop = st.button("Cancel", icon=":material/cancel:", key=f"{key}_cancel", disabled=job.cancel_requested)
            if stop:
                cancel_job(stores, actor, job.id)
                st.rerun()


def words(what: str, job: Job) -> str:
    """One job in a list: *what* it does, how it stands, since when."""
    return f"{what} · {messages.word(job.status)} · {messages.local(job.created, seconds=True)}"


def link(job: Job, label: str) -> None:
    """A link to the page that shows this job. *label* is Markdown."""
    if job.kind == "train":
        links.link("training", label, training_tab="Jobs", training_job=job.id)
    elif job.kind == "score":
        links.link("predictions", label, predictions_job=job.id)
    elif job.kind == "reproduce":
        version = {"models_model": str(job.arguments["model"]), "models_version": str(job.arguments["model_version"])}
        links.link("models", label, models_tab="Made again", models_again=job.id, **version)


def past(stores: Stores, actor: Actor, total: int, *, kind: str, key: str, told: Callable[[Job], str]) -> str | None:
    """All *total* jobs of a kind, newest first, page by page; the id of the one to look at, in the address as *key*.

    *told* is one of them in a few words.
    """
    last = paging.last_page(total, _PAGE)
    number = min(paging.asked(f"{key}s_page", of=kind), last or 1)
    found = list_jobs(stores, actor, kind=kind, limit=_PAGE, offset=(number - 1) * _PAGE)
    table(found, key=f"{key}s")
    if last != 1:
        paging.turn(f"{key}s_page", number, last=last, of=kind)
    options = {job.id: told(job) for job in found}
    asked = st.query_params.get(key)
    if asked and asked not in options:
        with suppress(JobNotFound):  # the picker says so
            options[asked] = told(show_job(stores, actor, asked))
    return pickers.choose("Look at", list(options), key, words=options, index=None)


def table(jobs: Sequence[Job], *, key: str) -> None:
    """Past and present jobs, newest first."""
    rows = [
        {
            "Job": job.id,
            "Status": messages.word(job.status),
            "Created": job.created,
            "By": job.actor,
            "What": ", ".join(
                f"{name}={value}" for name, value in job.arguments.items() if value not in (None, "", {})
            ),
            "Progress": job.progress,
            "How it ended": job.error or job.step,
        }
        for job in jobs
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        key=key,
        column_config={
            "Created": messages.time_column("Created"),
            "Progress": st.column_config.ProgressColumn("Progress", min_value=0, max_value=1, format="percent"),
        },
    )
