"""The gates of one moment on a page: the verdict in words, the table, badges, and labels for cells."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.entities import GateCheck, GateResult, PromotionRequest
from core.features.open_requests.present_gates import PresentGates
from pages._ui import escaping, messages
from pages._ui.texts import t, tn


def verdict(check: GateCheck) -> None:
    """Show the sentence that decides: how many gates fail, and which."""
    if check.problem is not None:
        st.warning(
            t("The gates could not be evaluated. {problem}", problem=messages.plain(check.problem)),
            icon=":material/cloud_off:",
        )
        return
    if check.gates is None:
        st.caption(t("These gates were not kept: an earlier version of ModelLedger replaced them at the approval."))
        return
    failed = [gate for gate in check.gates if not gate.passed]
    if not failed and check.gates:
        st.success(tn("The gate passes.", "All {n} gates pass.", len(check.gates)), icon=":material/check:")
        return
    # The picture below shows the numbers of a gate on a KPI.
    lines = [
        f"- **{messages.plain(gate.name)}**" + ("" if gate.numbers else f": {messages.plain(gate.detail)}")
        for gate in failed
    ]
    headline = tn("{failed} of {n} gate fails", "{failed} of {n} gates fail", len(check.gates), failed=len(failed))
    st.error("\n".join([f"**{headline}**", *lines]), icon=":material/close:")


def moment(check: GateCheck, title: str) -> None:
    """Show which gates these are, when they were evaluated, and the version that the candidate was compared with."""
    parts = [f"**{title}**", messages.local_time(check.at, seconds=True)]
    if check.evidence is not None and check.problem is None:
        parts.append(compared_with(check))
    st.caption(" · ".join(parts))


def gates_table(gates: Sequence[GateResult]) -> None:
    """Show one line per gate: its result and the numbers that it compared."""
    result, compared = t("Result"), t("Compared")
    rows = [{result: gate_label(gate), t("Gate"): gate.name, compared: gate.detail} for gate in gates]
    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        column_config={
            result: st.column_config.TextColumn(width=90),
            compared: st.column_config.TextColumn(width="large"),
        },
        alt=t("Gates and the numbers that each compared"),
    )


def compared_with(check: GateCheck) -> str:
    """Return the version that the candidate was compared with, in Markdown."""
    if check.compared_with is None:
        return t("compared with no version")
    version = messages.plain(check.compared_with)
    if check.is_rival_in_production:
        return t("compared with {version} in Production", version=version)
    return t("compared with {version}, the last in Production", version=version)


def last_check(request: PromotionRequest, present: PresentGates | None) -> GateCheck:
    """Return the gates that count: now where the request is open, else those of the decision."""
    return present.check if present else request.at_decision or request.at_request


def gates_badge(check: GateCheck) -> None:
    """Show how many gates failed as a badge; nothing where the gates were not kept."""
    if check.gates is None:
        return
    gates = check.gates
    failed = sum(not gate.passed for gate in gates)
    if check.problem is not None or not gates:
        st.badge(t("gates not evaluated"), icon=":material/cloud_off:", color="orange")
    elif failed:
        label = t("{failed} of {total} gates fail", failed=failed, total=len(gates))
        st.badge(label, icon=":material/close:", color="red")
    else:
        st.badge(tn("{n} gate passes", "all {n} gates pass", len(gates)), icon=":material/check:", color="green")


def check_label(check: GateCheck) -> str:
    """Return how many gates of *check* failed, for a table cell."""
    if check.problem is not None or check.gates is None:
        return t("– unknown")
    return gates_label(check.gates)


def gate_label(gate: GateResult) -> str:
    """Return whether the gate passed, for a table cell."""
    return t("● passed") if gate.passed else t("✕ failed")


def gates_label(gates: Sequence[GateResult]) -> str:
    """Return how many gates failed, for a table cell. No gates count as a failure."""
    failed = sum(not gate.passed for gate in gates)
    if failed or not gates:
        return t("✕ {failed} of {total} failed", failed=failed, total=len(gates))
    return tn("● {n} passed", "● all {n} passed", len(gates))
