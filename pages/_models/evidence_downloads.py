"""Evidence to take away from a page: dossier and bundle of a model version, made when they are asked for."""

from __future__ import annotations

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey
from core.features.evidence.export_evidence import Format, export_bundle, export_dossier, file_name
from core.features.stores import Stores
from pages._ui import downloads as on_demand
from pages._ui import session


def downloads(stores: Stores, actor: Actor, key: ModelVersionKey) -> None:
    """Three files, for whoever may export; that each was taken is written down."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.caption("An auditor or a manager takes the dossier and the evidence bundle of this version away.")
        return

    def dossier(as_: Format) -> bytes:
        return export_dossier(stores, actor, key, as_=as_).data

    on_demand.tell()
    name = file_name(key)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Dossier (PDF)",
            on_demand.made(lambda: dossier("pdf")),
            f"{name}.pdf",
            mime="application/pdf",
            icon=":material/description:",
            on_click="ignore",
            key="models_dossier_pdf",
        )
        st.download_button(
            "Dossier (HTML)",
            on_demand.made(lambda: dossier("html")),
            f"{name}.html",
            mime="text/html",
            icon=":material/html:",
            on_click="ignore",
            key="models_dossier_html",
        )
        st.download_button(
            "Evidence bundle",
            on_demand.made(lambda: export_bundle(stores, actor, key).data),
            f"{name}-bundle.zip",
            mime="application/zip",
            icon=":material/folder_zip:",
            on_click="ignore",
            key="models_bundle",
            help="Events with proofs, signed head, MLflow metadata and a verify.py that checks all of it on its own.",
        )
