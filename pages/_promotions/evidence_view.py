"""The evidence of one moment on a page: the KPIs of candidate and Production, then data, artifact and hashes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import GateCheck
from core.features.runs.compare import direction
from pages._promotions import kpi_bars
from pages._runs.run_tables import coloured, delta_label, metric_names, number
from pages._ui import escaping, links
from pages._ui.texts import t


def kpis(check: GateCheck, comparison: Mapping[str, Any] | None = None, *, key: str) -> None:
    """Show the KPIs of candidate and Production as a picture, and beside it as a table.

    *comparison* is a head-to-head comparison of both, with intervals. *key* is unique on the page.
    """
    if check.evidence is None:
        st.caption(t("The evidence was not kept: an earlier version of ModelLedger kept only that of the request."))
        return
    candidate, production = check.evidence.get("candidate", {}), check.evidence.get("production", {})
    mine, theirs = _numbers(candidate.get("metrics", {})), _numbers(production.get("metrics", {}))
    name = str(candidate.get("model_version", t("candidate")))
    rival = str(production.get("model_version") or t("no version in Production"))
    if production.get("model_version") and not production.get("serves", True):
        rival = t("{version} (last in Production)", version=rival)
    left, right = st.columns(2, gap="medium")
    with left:
        kpi_bars.draw(check, mine, theirs, candidate=name, rival=rival, key=f"{key}_bars")
        kpi_bars.draw_intervals(check, comparison, rival=rival, key=f"{key}_intervals")
    with right:
        _table(mine, theirs, candidate=name, rival=rival)
        if production.get("model_version"):
            _compare_link(name, str(production["model_version"]))
        if theirs and (candidate.get("data"), mine.get("TestRows")) != (production.get("data"), theirs.get("TestRows")):
            st.caption(
                t(
                    "The KPIs were measured on different test rows, so they do not compare exactly. **Head to head** "
                    "on the page Models compares both versions on the same rows."
                )
            )


def facts(check: GateCheck) -> None:
    """Show data, artifact and hashes of the evidence."""
    if check.evidence is not None:
        rows = pd.DataFrame(_facts(check.evidence))
        escaping.table(rows, placeholder="–", alt=t("Facts of the evidence"))


def _table(mine: Mapping[str, float], theirs: Mapping[str, float], *, candidate: str, rival: str) -> None:
    rows = []
    for name in metric_names([mine, theirs]):
        value, reference = mine.get(name), theirs.get(name)
        delta = value - reference if value is not None and reference is not None else None
        parts = (number(value), delta_label(delta, direction(name, delta)))
        rows.append({t("KPI"): name, rival: number(reference), candidate: "  ".join(filter(None, parts))})
    if rows:
        escaping.table(rows, style=coloured, alt=t("KPIs of the candidate beside those of Production"))
    else:
        st.info(t("The run logged no metrics."))


def _compare_link(candidate: str, production: str) -> None:
    """Lead to all differences of the two versions, as they are now."""
    model, _, version = candidate.rpartition("/")
    links.link(
        "models",
        t("Compare versions"),
        models_model=model,
        models_version=version,
        models_tab=t("Compare versions"),
        models_other=production.rpartition("/")[2],
    )


def _facts(found: Mapping[str, Any]) -> list[dict[str, object]]:
    candidate, production = found.get("candidate", {}), found.get("production", {})
    artifact = candidate.get("artifact", {})
    facts = {
        t("Data version"): (data_label(candidate.get("data")), data_label(production.get("data"))),
        t("Rows"): (candidate.get("data_verdict"), None),
        t("SHA-256 of the rows"): (candidate.get("data_content_sha256"), None),
        t("Run"): (candidate.get("run_id"), None),
        t("Status of the run"): (candidate.get("run_status"), None),
        t("Stored as"): (artifact.get("format"), None),
        t("SHA-256 of the artifact"): (artifact.get("sha256"), None),
        t("SHA-256 of the evidence"): (found.get("fingerprint"), None),
    }
    return [{t("Field"): name, t("Candidate"): mine, t("Production"): theirs} for name, (mine, theirs) in facts.items()]


def data_label(found: Mapping[str, Any] | None) -> str | None:
    """Return TABLE@N of the data in an evidence; None where it is unknown."""
    if not found or found.get("table") is None or found.get("version") is None:
        return None
    return f"{found['table']}@{found['version']}"


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Canonical JSON writes undefined values as words; float() reads them."""
    return {name: float(value) for name, value in metrics.items()}
