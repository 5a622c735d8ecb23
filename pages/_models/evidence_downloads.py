"""Downloads of a model version's evidence: dossier and bundle, made when a person presses the button."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.evidence.export_evidence import Format, export_bundle, export_dossier, file_name
from core.features.stores import Stores
from core.texts import language_name, languages
from pages._ui import downloads, session
from pages._ui.texts import preferred_language, t


def draw(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """Draw the language of the dossier and a button for each of three files; each export is recorded."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.caption(t("Only auditors and managers can export the dossier and the evidence bundle of this version."))
        return

    def dossier(as_: Format) -> bytes:
        return export_dossier(stores, actor, key, as_=as_, language=language).data

    downloads.show_failures()
    name = file_name(key)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choices = languages()
        language = st.selectbox(
            t("Language of the dossier"),
            choices,
            index=choices.index(preferred_language()),
            format_func=language_name,
            key="models_dossier_language",
            width=200,
        )
        st.download_button(
            t("Dossier (PDF)"),
            downloads.on_demand(lambda: dossier("pdf")),
            f"{name}.pdf",
            mime="application/pdf",
            icon=":material/description:",
            on_click="ignore",
            key="models_dossier_pdf",
        )
        st.download_button(
            t("Dossier (HTML)"),
            downloads.on_demand(lambda: dossier("html")),
            f"{name}.html",
            mime="text/html",
            icon=":material/html:",
            on_click="ignore",
            key="models_dossier_html",
        )
        st.download_button(
            t("Evidence bundle"),
            downloads.on_demand(lambda: export_bundle(stores, actor, key, language=language).data),
            f"{name}-bundle.zip",
            mime="application/zip",
            icon=":material/folder_zip:",
            on_click="ignore",
            key="models_bundle",
            help=t(
                "Events with proofs, the signed head, MLflow metadata, and a program verify.py that verifies them "
                "without ModelLedger."
            ),
        )
