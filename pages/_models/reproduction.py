"""A model version made again, on a page: the button, the work while it runs, and every verdict the log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.access.permissions import Action, roles_for
from core.entities import Actor, Event, ModelVersionKey, Reproduced
from core.features.jobs.jobs import list_jobs
from core.features.stores import Stores
from core.features.training.reproduce import TOLERANCE, past_reproductions, submit_reproduction
from pages._ui import escaping, jobs, links, messages, session

_JOB = "models_again"


def reproduction(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """Asks for it, watches it, and shows the last verdict with its numbers and the earlier ones."""
    st.write(
        "Trains this version again on the rows, split, seed and parameters of its run, and compares every number and "
        "the answer to every test row. Nothing is registered and nothing changes; the verdict goes into the audit log."
    )
    if session.may(actor, Action.MODEL_REPRODUCE):
        if st.button("Make it again", type="primary", icon=":material/replay:", key="models_make_again"):
            with messages.telling():
                job = submit_reproduction(stores, actor, key, tolerance=TOLERANCE)
                st.query_params[_JOB] = job.id
    else:
        who = " or ".join(role.value for role in roles_for(Action.MODEL_REPRODUCE))
        st.info(f"It takes the role {who} to make a model again.")
    _running(stores, actor, key)
    past = past_reproductions(stores, actor, key)
    if not past:
        st.info("It was not made again yet.")
        return
    _verdict(past[0])
    if past[1:]:
        st.markdown("**Earlier**")
        _earlier(past[1:])


def _running(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """The work on this version that the address names, or that somebody started and is not over."""
    about = {"model": key.model, "model_version": key.version}
    job_id = st.query_params.get(_JOB)
    if not job_id:
        live = list_jobs(stores, actor, kind="reproduce", live_only=True)
        job_id = next((job.id for job in live if about.items() <= job.arguments.items()), None)
    if job_id:
        jobs.watch(stores, actor, job_id, key="models_again_watch", only=about)


def _verdict(event: Event) -> None:
    found = event.after
    st.markdown("**Last verdict**")
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(_word(found))
        st.caption(f"by {messages.plain(event.actor)}, {messages.local(event.time)}", width="content")
        if found.get("data"):
            st.caption(f"on {messages.plain(found['data'])}", width="content")
        links.link("audit", f"Event {event.sequence}", audit_event=str(event.sequence))
    escaping.text(found.get("why", ""))
    metrics = found.get("metrics") or {}
    if metrics:
        rows = [
            {
                "Number": name,
                "Logged": _number(pair["logged"]),
                "Again": _number(pair["again"]),
                "": "same" if pair["logged"] == pair["again"] else "differs",
            }
            for name, pair in metrics.items()
        ]
        escaping.table(pd.DataFrame(rows), placeholder="–", alt="What the run logged and what came out again")
    if found.get("changed"):
        st.caption("Not as it was at the training: " + messages.plain("; ".join(found["changed"])))


def _earlier(events: tuple[Event, ...]) -> None:
    rows = [
        {
            "Time": event.time,
            "Verdict": messages.word(_word(event.after)),
            "By": event.actor,
            "Why": event.after.get("why"),
            "Event": event.sequence,
        }
        for event in events
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        column_config={"Time": messages.time_column("Time")},
        alt="Earlier verdicts",
    )


def _word(found: Mapping[str, Any]) -> Reproduced:
    return Reproduced(str(found["verdict"]).replace("_", " "))


def _number(value: object) -> str | None:
    return None if value is None else f"{value:.10g}" if isinstance(value, int | float) else str(value)
