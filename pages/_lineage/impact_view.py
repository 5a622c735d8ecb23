"""Impact on a page: the model versions whose data is unknown, and what used other data of the same name."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import Lineage, NodeKind
from core.features.lineage.impact import Impact
from pages._ui import escaping
from pages._ui.texts import t, tn, translated


def graph(impact: Impact) -> Lineage:
    """Report the versions whose data is unknown and those that used other data; return the graph of the others."""
    _replaced(impact)
    _unresolved(impact)
    return impact.graph


def _unresolved(impact: Impact) -> None:
    """Report the model versions whose data is unknown, and which they are."""
    count = len(impact.unresolved)
    if not count:
        return
    st.warning(
        tn(
            "The data of {n} of {total} model versions is unknown, so it may depend on this data too.",
            "The data of {n} of {total} model versions is unknown, so they may depend on this data too.",
            count,
            total=impact.versions,
        ),
        icon=":material/help:",
    )
    with st.expander(t("Model versions with unknown data"), icon=":material/list:"):
        rows = [{t("Model version"): str(u.key), t("Stage"): u.stage, t("Reason"): u.why} for u in impact.unresolved]
        escaping.table(pd.DataFrame(rows), key="lineage_unresolved")


def _replaced(impact: Impact) -> None:
    """Report what used another table, or other rows, that had the name of this data version before."""
    count = len(impact.replaced)
    if not count:
        return
    st.error(
        tn(
            "{n} model version or batch used other data that had this name before. It does not depend on this data.",
            "{n} model versions or batches used other data that had this name before. They do not depend on this data.",
            count,
        ),
        icon=":material/swap_horiz:",
    )
    kinds = {NodeKind.MODEL: t("model version"), NodeKind.BATCH: t("predictions")}
    rows = [
        {t("Kind"): kinds[item.kind], t("Name"): item.subject, t("Reason"): translated(item.why)}
        for item in impact.replaced
    ]
    escaping.table(pd.DataFrame(rows), key="lineage_replaced")
