"""The reproduction of a model version on a page: the button, the running job, and every recorded verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Event, ModelVersionKey, Reproduced
from core.features.stores import Stores
from core.features.training.reproduce import TOLERANCE, past_reproductions, submit_reproduction
from pages._ui import escaping, jobs, links, messages, session
from pages._ui.texts import t

_JOB = "models_again"


def reproduction(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """Offer the reproduction, show a running one, and show the last verdict with its numbers and the earlier ones."""
    st.write(
        t(
            "Trains this version again on the rows, split, seed and parameters of its run, and compares every metric "
            "and the prediction for every test row. Nothing is registered and nothing changes; the verdict is recorded "
            "in the audit log."
        )
    )
    if session.may(actor, Action.MODEL_REPRODUCE):
        if st.button(t("Reproduce"), type="primary", icon=":material/replay:", key="models_make_again"):
            with messages.show_errors():
                job = submit_reproduction(stores, actor, key, tolerance=TOLERANCE)
                st.query_params[_JOB] = job.id
    else:
        roles = messages.role_names(Action.MODEL_REPRODUCE)
        st.info(t("Only these roles can reproduce a model version: {roles}.", roles=roles))
    jobs.watch_version(stores, actor, key, kind="reproduce", address=_JOB)
    past = past_reproductions(stores, actor, key)
    if not past:
        st.info(t("Not reproduced yet."))
        return
    _verdict(past[0])
    if past[1:]:
        st.markdown(f"**{t('Earlier verdicts')}**")
        _earlier(past[1:])


def _verdict(event: Event) -> None:
    result = event.after
    st.markdown(f"**{t('Last verdict')}**")
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(_reproduced(result))
        st.caption(
            t("by {name}, {time}", name=messages.plain(event.actor), time=messages.local_time(event.time)),
            width="content",
        )
        if result.get("data"):
            st.caption(t("on {data}", data=messages.plain(result["data"])), width="content")
        links.link("audit", t("Event {number}", number=event.sequence), audit_event=str(event.sequence))
    escaping.text(result.get("why", ""))
    metrics = result.get("metrics") or {}
    if metrics:
        rows = [
            {
                t("Metric"): name,
                t("Logged"): _number(pair["logged"]),
                t("Reproduced"): _number(pair["again"]),
                t("Comparison"): t("same") if pair["logged"] == pair["again"] else t("different"),
            }
            for name, pair in metrics.items()
        ]
        escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Logged and reproduced metrics"))
    if result.get("changed"):
        changes = "; ".join(result["changed"])
        st.caption(t("Changed since the training: {changes}", changes=messages.plain(changes)))


def _earlier(events: tuple[Event, ...]) -> None:
    rows = [
        {
            t("Time"): event.time,
            t("Verdict"): messages.label(_reproduced(event.after)),
            t("By"): event.actor,
            t("Reason"): event.after.get("why"),
            t("Event"): event.sequence,
        }
        for event in events
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        column_config={t("Time"): messages.time_column(t("Time"))},
        alt=t("Earlier verdicts"),
    )


def _reproduced(result: Mapping[str, Any]) -> Reproduced:
    return Reproduced(str(result["verdict"]).replace("_", " "))


def _number(value: object) -> str | None:
    return None if value is None else f"{value:.10g}" if isinstance(value, int | float) else str(value)
