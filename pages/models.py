"""Models: registered models, their versions and stages, and the evidence behind each version."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import ModelVersionKey
from core.features.monitoring.findings import findings_about_version, list_findings
from core.features.runs.models import ModelSummary, list_models, show_model_version
from pages._audit import finding_views
from pages._history import as_of
from pages._models import evidence_downloads, model_views, reproduction
from pages._ui import links, messages, pickers, session

actor = session.require(Action.MODEL_READ)
stores = session.stores()


def pick_version(model: ModelSummary) -> ModelVersionKey | None:
    """The versions of a model, and the chosen one: Production where nobody chose, else the newest."""
    model_views.versions_table(model, findings)
    if not model.versions:
        st.info("This model has no version yet. Train it on the page **Training**.")
        return None
    numbers = [str(version.version) for version in model.versions]
    words = {str(one.version): f"{one.version} · {messages.word(one.stage)}" for one in model.versions}
    default = numbers.index(str(model.production)) if model.production is not None else 0
    number = pickers.choose("Version", numbers, "models_version", words=words, index=default, of=model.name)
    return ModelVersionKey(model=model.name, version=int(number)) if number else None


st.title("Models")
with messages.stopping():
    then = as_of.state(stores, actor)
    if then is not None:
        as_of.models(then)
        st.stop()
    findings = list_findings(stores, actor)
    models = list_models(stores, actor)
    if not models:
        st.info("No model is registered yet. Train one on the page **Training**; it takes a minute.")
        st.stop()
    if len(models) > 1:
        model_views.models_table(models)
    name = pickers.model(models, "models_model")
    model = next(one for one in models if one.name == name)
    key = pick_version(model)
    if key is None:
        st.stop()
    with st.spinner("Reading its evidence"):
        view = show_model_version(stores, actor, key)
    model_views.headline(view)
    finding_views.brief(findings_about_version(findings, key))
    ids = ",".join(version.run_id for version in model.versions[:10] if version.run_id)
    with st.container(horizontal=True):
        links.link("runs", "Compare its newest versions", runs=ids)
        links.link("lineage", "Lineage", lineage_model=key.model, lineage_version=str(key.version))
    evidence_downloads.downloads(stores, actor, key)
    facts, again, signature, files = st.tabs(
        ["Evidence", "Made again", "Signature and requirements", "Files"],
        key="models_tab",
        bind="query-params",
        on_change="rerun",
    )
    if facts.open:
        with facts:
            model_views.evidence(view)
    if again.open:
        with again:
            reproduction.reproduction(stores, actor, key)
    if signature.open:
        with signature:
            model_views.signature(view)
    if files.open:
        with files:
            model_views.files(stores, actor, view)
