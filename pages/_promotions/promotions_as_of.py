"""Promotions at an earlier moment: the requests as they stood, with their gates, and the stages. Nothing to decide."""

from __future__ import annotations

import streamlit as st

from core.entities import Actor
from core.features.history.as_of import ModelAsOf, state_at
from core.features.history.findings_as_of import findings_at
from core.features.history.moment import Moment
from core.features.history.requests_as_of import requests_at
from core.features.stores import Stores
from pages._audit import finding_views
from pages._promotions import request_detail, requests_table, stages_table
from pages._ui import messages, pickers
from pages._ui.texts import t


def draw(stores: Stores, actor: Actor, moment: Moment) -> None:
    """Show all requests of that time, one of them in full, and the stage of every version; then end the page."""
    with messages.stop_on_error():
        _draw(stores, actor, moment)
    st.stop()


def _draw(stores: Stores, actor: Actor, moment: Moment) -> None:
    requests = [state.request for state in requests_at(stores, actor, moment)]
    if requests:
        findings = findings_at(stores, actor, moment, include_closed=True)
        requests_table.requests_table(requests, findings, {})
        labels = {request.id: requests_table.label(request) for request in requests}
        chosen = pickers.choose(t("Request"), list(labels), "promotions_request", labels=labels)
        request = next(request for request in requests if request.id == chosen)
        emergency = finding_views.emergency_finding(findings, request.id)
        request_detail.request_detail(request, emergency, None, [f for f in findings if f.is_open])
    else:
        st.info(t("No promotion had been requested by then."))
    st.subheader(t("Stages at that moment"))
    models = state_at(stores, actor, moment).models
    if not models:
        st.caption(t("No model had been trained."))
    for model in models:
        _stages(model)
    st.caption(
        t(
            "Differences between the registry and the decisions are computed from the present registry. The findings "
            "of that time are on the page Audit log."
        )
    )


def _stages(model: ModelAsOf) -> None:
    with st.expander(messages.plain(model.name), expanded=model.production is not None):
        stages_table.stages_table({str(version.version): version.stage.value for version in model.versions})
