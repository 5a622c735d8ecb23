"""Models: registered models, their versions and stages, and the evidence of each version."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import ModelVersionKey
from core.features.history.as_of import state_at
from core.features.monitoring.findings import findings_about_version, list_findings
from core.features.runs.models import ModelSummary, list_models, show_model_version
from pages._audit import finding_views
from pages._history import as_of
from pages._models import (
    compare_versions,
    data_identity,
    edit_texts,
    evaluation,
    evidence_downloads,
    head_to_head,
    kpi_picture,
    model_views,
    reproduction,
    stage_timeline,
    version_tables,
    why_moved,
)
from pages._promotions import request_form
from pages._runs import pictures
from pages._ui import cached_readers, links, messages, pickers, session
from pages._ui.texts import t

actor = session.require(Action.MODEL_READ)
stores = session.stores()


def pick_version(model: ModelSummary) -> ModelVersionKey | None:
    """Show the versions of a model and return the chosen one. The default is Production, or else the newest."""
    if not model.versions:
        st.info(t("This model has no versions yet. Train it on the page **Training**."))
        return None
    timelines = cached_readers.stage_timelines(stores, actor)
    timeline, kpi = timelines.of(model.name), kpi_picture.choose_kpi(model)
    left, right = st.columns(2, gap="large") if kpi else (st.container(), None)
    with left:
        stage_timeline.draw(timeline, timelines.registry_problem)
    if kpi and right:
        with right:
            kpi_picture.draw(model, timeline, kpi)
    version_tables.versions_table(model, findings, kpi)
    numbers = [str(version.version) for version in model.versions]
    labels = {str(v.version): f"{v.version} · {messages.label(v.stage)}" for v in model.versions}
    default = numbers.index(str(model.production)) if model.production is not None else 0
    number = pickers.choose(t("Version"), numbers, "models_version", labels=labels, index=default, of=model.name)
    return ModelVersionKey(model=model.name, version=int(number)) if number else None


st.title(t("Models"))
with messages.stop_on_error():
    if (moment := session.moment()) is not None:
        name = as_of.show_models(state_at(stores, actor, moment))
        timelines = cached_readers.stage_timelines(stores, actor, moment)
        stage_timeline.draw(timelines.of(name or ""), timelines.registry_problem)
        st.stop()
    findings = list_findings(stores, actor)
    models = list_models(stores, actor)
    if not models:
        st.info(t("No models yet. Train one on the page **Training**; a training takes about a minute."))
        st.stop()
    if len(models) > 1:
        version_tables.models_table(models)
    name = pickers.model(models, "models_model")
    model = next(model for model in models if model.name == name)
    key = pick_version(model)
    if key is None:
        st.stop()
    with st.spinner(t("Reading the evidence")):
        view = show_model_version(stores, actor, key)
    model_views.headline(view)
    finding_views.summary(findings_about_version(findings, key))
    ids = ",".join(f"{model.name}/{version.version}" for version in model.versions[:10] if version.run_id)
    with st.container(horizontal=True):
        links.link("runs", t("Compare newest versions"), runs=ids)
        links.link("lineage", t("Lineage"), lineage_model=key.model, lineage_version=str(key.version))
        if key.version == model.production and session.may(actor, Action.PROMOTION_ROLLBACK):
            links.link("promotions", t("Roll back"), promotions_tab=t("Roll back"), promotions_back=key.model)
        request_form.link(stores, actor, key, view.version.stage)
    evidence_downloads.draw(stores, actor, key)
    evidence, drawn, differences, compared, moved, reproduce, signature, files, texts = st.tabs(
        [
            t("Evidence"),
            t("Pictures"),
            t("Compare versions"),
            t("Head to head"),
            t("Why did the KPI move?"),
            t("Reproduce"),
            t("Signature and requirements"),
            t("Files"),
            t("Description and tags"),
        ],
        key="models_tab",
        bind="query-params",
        on_change="rerun",
    )
    if evidence.open:
        with evidence:
            model_views.evidence(view)
            data_identity.draw(stores, actor, key, view.data)
    if drawn.open:
        with drawn:
            pictures.show_beside_production(stores, actor, key, model.production)
            evaluation.evaluation(stores, actor, model, key)
    if differences.open:
        with differences:
            compare_versions.draw(stores, actor, models, key)
    if compared.open:
        with compared:
            head_to_head.head_to_head(stores, actor, model, key)
    if moved.open:
        with moved:
            why_moved.why_moved(stores, actor, model, key)
    if reproduce.open:
        with reproduce:
            reproduction.reproduction(stores, actor, key)
    if signature.open:
        with signature:
            model_views.signature(view)
    if files.open:
        with files:
            model_views.files(stores, actor, view)
    if texts.open:
        with texts:
            edit_texts.draw(stores, actor, key)
