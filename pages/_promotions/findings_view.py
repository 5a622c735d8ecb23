"""The open findings that a decision depends on: a warning beside the form, and the list below it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.entities import Finding, GateCheck, PromotionRequest, Severity
from core.features.monitoring.decision_findings import About, findings_of_decision
from core.texts import text
from pages._audit import finding_views
from pages._ui import messages
from pages._ui.texts import t, tn, translated

# A decision page shows this many findings, the most important first.
MOST_FINDINGS = 8
_ABOUT = {
    About.CANDIDATE: text("about the candidate"),
    About.CANDIDATE_DATA: text("about its data"),
    About.RIVAL: text("about the version compared with"),
    About.RIVAL_DATA: text("about the data of the version compared with"),
    About.MODEL: text("about the model"),
    About.OTHER_VERSION: text("about another version"),
}


def warning(findings: Sequence[Finding], request: PromotionRequest, check: GateCheck) -> None:
    """Warn of open findings of high severity, and say how many others are listed below."""
    found = findings_of_decision(findings, request, check)
    if any(finding.severity is Severity.HIGH for _, finding in found):
        st.warning(
            t(
                "Findings of high severity are open on {model}. Check them before you decide.",
                model=messages.plain(request.model),
            ),
            icon=":material/priority_high:",
        )
    elif found:
        st.caption(tn("{n} finding is open; see below.", "{n} findings are open; see below.", len(found)))


def listed(findings: Sequence[Finding], request: PromotionRequest, check: GateCheck) -> None:
    """Show the open findings about the candidate, its data and the version that it is compared with."""
    found = findings_of_decision(findings, request, check)
    if not found:
        return
    st.markdown(f"**{t('Open findings')}**")
    for about, finding in found[:MOST_FINDINGS]:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            messages.badge(finding.severity)
            st.caption(translated(_ABOUT[about]), width="content")
            st.markdown(messages.plain(finding_views.title(finding)), width="content")
            finding_views.link(finding, t("Show finding"))
        if about is not About.OTHER_VERSION:
            st.caption(messages.plain(translated(finding.detail)))
    if len(found) > MOST_FINDINGS:
        st.caption(t("{count} more findings are open.", count=len(found) - MOST_FINDINGS))
