"""Proof of the audit log on a page: verified against what was kept elsewhere, and taken away to be kept."""

from __future__ import annotations

import tempfile
from pathlib import Path

import streamlit as st

from core.entities import Actor
from core.permissions import Action
from core.services.attest import head_on_paper, sign_head, verify_against
from core.services.prove import export_audit
from core.services.stores import Stores
from pages.shared import audit_views, on_demand, session


def verify(stores: Stores, actor: Actor) -> None:
    """Recomputes the whole chain and compares it with what was kept elsewhere."""
    st.write(
        "Recomputes the hash of every event from its content and the hash before it. With a head or an export that was "
        "kept elsewhere it also finds what the chain alone cannot: a tail cut off, or a log rewritten from the start."
    )
    kept = st.file_uploader("Heads and exports kept elsewhere", accept_multiple_files=True, key="audit_kept")
    only_new = st.toggle("Only what was appended since the last verification", key="audit_only_new")
    if st.button("Verify", type="primary", icon=":material/verified:", key="audit_verify"):
        bar = st.progress(0.0, text="reading")
        texts = [file.getvalue().decode("utf-8", errors="replace") for file in kept or []]
        found = verify_against(
            stores,
            actor,
            texts,
            incremental=only_new,
            on_progress=lambda seen, total: bar.progress(seen / max(total, 1), text=f"{seen:,} of {total:,} events"),
        )
        bar.empty()
        audit_views.verdict(found)


def take_away(stores: Stores, actor: Actor) -> None:
    """The log and its head as files; that they were taken is written down."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.info("An auditor or a manager takes the log away.")
        return
    on_demand.tell()
    st.write("Whoever keeps a copy elsewhere can prove later that this log was not rewritten.")
    with st.container(horizontal=True):
        for word, ending in (("JSON lines", ".jsonl"), ("CSV", ".csv")):
            label, name = f"All events as {word}", f"audit-log{ending}"
            st.download_button(
                label,
                on_demand.made(lambda e=ending: _exported(stores, actor, e)),
                name,
                icon=":material/download:",
                key=f"audit_export{ending}",
            )
        st.download_button(
            "Signed head, to print",
            on_demand.made(lambda: head_on_paper(sign_head(stores, actor)).encode()),
            "audit-head.txt",
            icon=":material/signature:",
            key="audit_head",
        )


def _exported(stores: Stores, actor: Actor, ending: str) -> bytes:
    """The whole log as a file's content; it is written down that it was taken."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        file = Path(folder) / f"audit{ending}"
        export_audit(stores, actor, file)
        return file.read_bytes()
