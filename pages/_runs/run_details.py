"""One run on a page: what it is, its parameters, metrics, tags, models and files, and the changes after its end."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from core.entities import Actor
from core.features.runs.compare import Comparison, is_version
from core.features.runs.runs import RunView, show_run
from core.features.stores import Stores
from pages._promotions import request_form
from pages._runs import run_metrics, run_relations, run_tables
from pages._runs.run_tables import number, run_label
from pages._ui import escaping, links, messages, pickers
from pages._ui.texts import t


def details(stores: Stores, actor: Actor, found: Comparison) -> None:
    """Let the viewer choose one of the compared runs, and show it in full."""
    labels = {run.run_id: run_label(run) for run in found.runs}
    run_id = pickers.choose(t("Run"), list(labels), "runs_detail", labels=labels)
    if run_id is None:
        return
    if is_version(run_id):
        run_id = found.versions[run_id][0].run_id or run_id
    view = show_run(stores, actor, run_id)
    _headline(stores, actor, view)
    run_relations.children(view)
    left, right = st.columns(2)
    left.markdown(f"**{t('Parameters')}**")
    escaping.table(_pairs(view.run.params), at=left, alt=t("Parameters"))
    right.markdown(f"**{t('Tags')}**")
    escaping.table(_pairs(view.run.tags), at=right, alt=t("Tags"))
    run_metrics.metrics(stores, actor, view)
    run_relations.models(view)
    run_relations.datasets(view)
    st.markdown(f"**{t('Files')}**")
    rows = [{t("File"): item.path, t("Bytes"): item.size_bytes} for item in view.artifacts if not item.is_folder]
    if rows:
        escaping.table(pd.DataFrame(rows), alt=t("Files of the run"))
    else:
        st.caption(t("The run logged no files, or its files were deleted."))


def _headline(stores: Stores, actor: Actor, view: RunView) -> None:
    run = view.run
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(run.status)
        data = run_tables.data_labels(run.data)
        if data:
            st.caption(t("trained on {data}", data=messages.plain(data)), width="content")
        else:
            st.caption(t("trained on unknown data"), width="content")
        st.caption(t("by {name}", name=messages.plain(run.user or t("an unknown user"))), width="content")
        st.caption(
            f"{messages.local_time(run.started, seconds=True)} – {messages.local_time(run.ended)}", width="content"
        )
        for version in view.versions:
            links.link(
                "models",
                messages.plain(version.key),
                models_model=version.model,
                models_version=str(version.version),
            )
            request_form.link(stores, actor, version.key, version.stage)
    run_relations.parent(view)
    for note in view.notes:
        st.warning(messages.plain(note), icon=":material/warning:")
    for name, points in view.late.items():
        values = ", ".join(
            t("{value} at {time}", value=number(point.value), time=messages.local_time(point.timestamp, seconds=True))
            for point in points
        )
        st.warning(
            messages.plain(t("{metric} was changed after the run had ended: {values}.", metric=name, values=values)),
            icon=":material/history:",
        )


def _pairs(values: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame({t("Name"): list(values), t("Value"): list(values.values())})
