"""Evaluation on a page: KPIs and pictures of a version on a table version, for models whose run logged none."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, Event, ModelVersionKey
from core.features.head_to_head.evaluate import JOB_KIND, past_evaluations, pictures_of, submit_evaluation
from core.features.runs.models import ModelSummary
from core.features.stores import Stores
from core.learning.kpis import metric_text
from pages._models.judged_rows import pick_rows
from pages._runs import picture_charts
from pages._ui import jobs, links, messages, pickers, session
from pages._ui.texts import t

_JOB = "models_evaluated"


def evaluation(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    """Offer the evaluation of *key* on a table version, show a running one, and show the results."""
    st.subheader(t("On the rows of a table version"))
    st.write(
        t(
            "Lets the version predict the rows of a table version, also a model that was trained elsewhere. Rows on "
            "which it was trained are left out. KPIs and pictures are recorded in the audit log; MLflow is not changed."
        )
    )
    if session.may(actor, Action.MODEL_EVALUATE):
        with messages.show_errors():
            _form(stores, actor, model, key)
    else:
        roles = messages.role_names(Action.MODEL_EVALUATE)
        st.info(t("Only these roles can evaluate a model version: {roles}.", roles=roles))
    jobs.watch_version(stores, actor, key, kind=JOB_KIND, address=_JOB)
    past = past_evaluations(stores, actor, key)
    if not past:
        return
    labels = {
        str(event.sequence): f"{event.after['data']} · {messages.local_time(event.time, seconds=True)}"
        for event in past
    }
    chosen = pickers.choose(t("Evaluation"), list(labels), "models_evaluation", labels=labels, of=str(key))
    _result(next(event for event in past if str(event.sequence) == chosen))


def _form(stores: Stores, actor: Actor, model: ModelSummary, key: ModelVersionKey) -> None:
    left, right = st.columns(2)
    chosen = pick_rows(stores, actor, model, key, "models_evaluate", at=(left, right))
    if chosen is None:
        st.info(t("No table can be read."))
        return
    with st.form("models_evaluate_form", border=False):
        target = st.text_input(t("Column with the true values (default: the target of the run)"), max_chars=200)
        reason = st.text_input(t("Reason (kept in the audit log)"), max_chars=500)
        if st.form_submit_button(t("Draw pictures"), type="primary", icon=":material/monitoring:"):
            table, version = chosen
            job = submit_evaluation(
                stores, actor, key, table=table, version=version, target=target.strip(), reason=reason
            )
            st.query_params[_JOB] = job.id


def _result(event: Event) -> None:
    after = event.after
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            t("by {name}, {time}", name=messages.plain(event.actor), time=messages.local_time(event.time)),
            width="content",
        )
        links.link("audit", t("Event {number}", number=event.sequence), audit_event=str(event.sequence))
    values = [f"**{messages.plain(name)}** {metric_text(float(value), 4)}" for name, value in after["metrics"].items()]
    st.markdown(" · ".join(values))
    for note in after["notes"]:
        st.caption(messages.plain(note))
    picture_charts.show({str(after["model"]): pictures_of(event)}, key="evaluation")
