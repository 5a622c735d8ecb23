"""Proof of the audit log on a page: verify the log or a bundle against heads kept elsewhere, and export the log."""

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
from pages._ui.texts import t


def verify_log_form(stores: Stores, actor: Actor) -> None:
    """Recompute the whole chain and compare it with heads and exports that were kept elsewhere."""
    st.write(
        t(
            "Recomputes the hash of every event from its content and the hash of the event before it. Add a signed "
            "head or an export that was kept elsewhere to find also a log that was cut or rewritten from the start."
        )
    )
    kept = st.file_uploader(t("Heads and exports kept elsewhere"), accept_multiple_files=True, key="audit_kept")
    earlier = st.text_area(
        t("Earlier public keys, one per line"),
        placeholder="NAME+ID+KEY",
        help=t(
            "For heads that were signed before the key was changed. The keys of this log and the trusted keys always "
            "count."
        ),
        key="audit_keys",
        height=68,
    )
    only_new = st.toggle(t("Only events since the last verification"), key="audit_only_new")
    if st.button(t("Verify"), type="primary", icon=":material/verified:", key="audit_verify"):
        bar = st.progress(0.0, text=t("Reading"))
        texts = [file.getvalue().decode("utf-8", errors="replace") for file in kept or []]

        def show_progress(count: int, total: int) -> None:
            bar.progress(count / max(total, 1), text=t("{count:,} of {total:,} events", count=count, total=total))

        verdict = verify_audit_log(
            stores,
            actor,
            texts,
            keys=_lines(earlier),
            incremental=only_new,
            on_progress=show_progress,
        )
        bar.empty()
        event_views.show_verdict(verdict)
    own = public_key(stores, actor)
    st.caption(t("The public key that verifies this log's heads, and its SHA-256:"))
    escaping.code(f"{own}\n{own.fingerprint}")


def verify_bundle_form(stores: Stores, actor: Actor) -> None:
    """Check an uploaded evidence bundle: whether this log or a trusted log signed its contents."""
    st.subheader(t("Evidence bundle"))
    upload = st.file_uploader(t("Bundle (zip)"), type="zip", key="audit_bundle")
    keys = st.text_area(t("Public key of the bundle's log, if it is another log"), placeholder="NAME+ID+KEY", height=68)
    if st.button(t("Check bundle"), icon=":material/verified:", disabled=upload is None) and upload is not None:
        with tempfile.TemporaryDirectory(prefix="modelledger-") as folder, st.spinner(t("Checking every file")):
            file = Path(folder) / "bundle.zip"
            file.write_bytes(upload.getbuffer())
            event_views.show_bundle_check(verify_bundle(stores, actor, file, keys=_lines(keys)))


def _lines(text: str | None) -> list[str]:
    return [line.strip() for line in (text or "").splitlines() if line.strip()]


def export_form(stores: Stores, actor: Actor) -> None:
    """Offer the log and its signed head as files; each export is recorded."""
    if not session.may(actor, Action.AUDIT_EXPORT):
        st.info(t("Only auditors and managers can export the log."))
        return
    downloads.show_failures()
    st.write(t("Keep a copy elsewhere: it can prove later that this log was not rewritten."))
    with st.container(horizontal=True):
        for label, ending in ((t("All events as JSON lines"), ".jsonl"), (t("All events as CSV"), ".csv")):
            name = f"audit-log{ending}"
            st.download_button(
                label,
                downloads.on_demand(partial(_exported, stores, actor, ending)),
                name,
                icon=":material/download:",
                key=f"audit_export{ending}",
            )
        st.download_button(
            t("Signed head for printing"),
            downloads.on_demand(lambda: printable_head(sign_head(stores, actor)).encode()),
            "audit-head.txt",
            icon=":material/signature:",
            key="audit_head",
        )


def _exported(stores: Stores, actor: Actor, ending: str) -> bytes:
    """Return the whole log as the content of a file; the export is recorded."""
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        file = Path(folder) / f"audit{ending}"
        export_audit(stores, actor, file)
        return file.read_bytes()
