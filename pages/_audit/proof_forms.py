"""Proof of the audit log on a page: verified against what was kept elsewhere, and taken away to be kept."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import streamlit as st

from core.access.permissions import Action
from core.entities import Actor
from core.features.evidence.export_evidence import verify_bundle
from core.features.evidence.search_events import export_audit
from core.features.evidence.sign_head import printable_head, public_key, sign_head, verify_audit_log
from core.features.stores import Stores
from pages._audit import event_views
from pages._ui import downloads, escaping, session


def verify(stores: Stores, actor: Actor) -> None:
    """Recomputes the whole chain and compares it with what was kept elsewhere."""
    st.write(
        "Recomputes the hash of every event from its content and the hash before it. With a head or an export that was "
        "kept elsewhere it also finds what the chain alone cannot: a tail cut off, or a log rewritten from the start."
    )
    kept = st.file_uploader("Heads and exports kept elsewhere", accept_multiple_files=True, key="audit_kept")
    earlier = st.text_area(
        "Earlier public keys, a line each",
        placeholder="NAME+ID+KEY",
        help="Of heads that were signed before the key was changed. This log's own and trusted keys count anyway.",
        key="audit_keys",
        height=68,
    )
    only_new = st.toggle("Only what was appended since the last verification", key="audit_only_new")
    if st.button("Verify", type="primary", icon=":material/verified:", key="audit_verify"):
        bar = st.progress(0.0, text="reading")

        def show_progress(verified: int, total: int) -> None:
            bar.progress(verified / max(total, 1), text=f"{verified:,} of {total:,} events")

        texts = [file.getvalue().decode("utf-8", errors="replace") for file in kept or []]
        found = verify_audit_log(
            stores,
            actor,
            texts,
            keys=_lines(earlier),
            incremental=only_new,
            on_progress=show_progress,
        )
        bar.empty()
        event_views.verdict(found)
    own = public_key(stores, actor)
    st.caption("The public key with which anybody checks this log's heads, and its SHA-256:")
    escaping.code(f"{own}\n{own.fingerprint}")


def verify_taken_away(stores: Stores, actor: Actor) -> None:
    """A bundle that somebody hands over: whether this log, or one that is trusted here, put it together."""
    st.subheader("An evidence bundle")
    brought = st.file_uploader("Bundle (zip)", type="zip", key="audit_bundle")
    others = st.text_area("Its log's public key, where it is another's", placeholder="NAME+ID+KEY", height=68)
    if st.button("Check the bundle", icon=":material/verified:", disabled=brought is None) and brought is not None:
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder, st.spinner("Checking every file"):
            file = Path(folder) / "bundle.zip"
            file.write_bytes(brought.getbuffer())
            event_views.bundle(verify_bundle(stores, actor, file, keys=_lines(others)))


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def take_away(stores: Stores, actor: Actor) -> None:
    """The log and its head as files; that they were taken is written down."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.info("An auditor or a manager takes the log away.")
        return
    downloads.tell()
    st.write("Whoever keeps a copy elsewhere can prove later that this log was not rewritten.")
    with st.container(horizontal=True):
        for word, ending in (("JSON lines", ".jsonl"), ("CSV", ".csv")):
            label, name = f"All events as {word}", f"audit-log{ending}"
            st.download_button(
                label,
                downloads.made(partial(_exported, stores, actor, ending)),
                name,
                icon=":material/download:",
                key=f"audit_export{ending}",
            )
        st.download_button(
            "Signed head, to print",
            downloads.made(lambda: printable_head(sign_head(stores, actor)).encode()),
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
