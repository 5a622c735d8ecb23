"""Impact on a page: the model versions whose data is unknown."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.entities import Lineage
from core.features.lineage.impact import Impact
from pages._ui import escaping
from pages._ui.texts import t, tn


def graph(impact: Impact) -> Lineage:
    """Report the model versions whose data is unknown, and which they are; return the graph of the others."""
    count = len(impact.unresolved)
    if not count:
        return impact.graph
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
    return impact.graph
