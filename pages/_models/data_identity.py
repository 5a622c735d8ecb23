"""Whether the data of a model version is what trained it: the compared facts, and a button that compares the rows."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import Actor, Comparison, Fact, Identity, ModelVersionKey
from core.features.lineage.origin import check_content
from core.features.lineage.version_data import DataView
from core.features.stores import Stores
from core.texts import text
from pages._ui import escaping, messages
from pages._ui.texts import t, translated

_FACTS = {
    Fact.TABLE_ID: text("table id"),
    Fact.COMMIT_TIME: text("time of the commit"),
    Fact.ROWS: text("rows"),
    Fact.CONTENT: text("SHA-256 of the rows"),
}


def draw(stores: Stores, actor: Actor, key: ModelVersionKey, data: tuple[DataView, ...]) -> None:
    """Show what the training recorded beside the present facts. The button reads every row of the data."""
    if not any(view.identity for view in data if view.source.is_training):
        return
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{t('Is it the training data?')}**", width="content")
        is_checked = any(view.recorded.content_sha256 for view in data) and st.button(
            t("Compare the rows"),
            icon=":material/fingerprint:",
            help=t("Reads every row and compares the SHA-256 with the one that the training logged."),
            key="models_compare_rows",
        )
    if is_checked:
        with messages.show_errors(), st.spinner(t("Reading every row")):
            data = check_content(stores, actor, key)
    for view in data:
        if view.identity is not None and view.source.is_training:
            _comparisons(view, view.identity)


def _comparisons(view: DataView, identity: Identity) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        messages.badge(identity.verdict)
        st.caption(messages.plain(view.source.key), width="content")
    rows = [_row(comparison) for comparison in identity.comparisons]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        placeholder="–",
        alt=t("What the training recorded about {data}, and what it is now", data=str(view.source.key)),
    )
    for note in identity.notes:
        st.caption(messages.plain(translated(note)))


def _row(comparison: Comparison) -> dict[str, object]:
    return {
        t("Fact"): translated(_FACTS[comparison.fact]),
        t("Comparison"): messages.label(comparison.agreement),
        t("At training"): translated(comparison.recorded) if comparison.recorded else None,
        t("Now"): comparison.now,
    }
