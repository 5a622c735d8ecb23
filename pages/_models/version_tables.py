"""Tables of the page Models: all models, and the versions of one model with their KPIs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.entities import Finding, ModelVersionKey
from core.features.monitoring.findings import findings_about_version
from core.features.runs.compare import direction
from core.features.runs.models import ModelSummary
from core.features.runs.version_deltas import TestedOn, VersionDelta, deltas_to_production
from core.texts import text
from pages._audit import finding_views
from pages._runs import run_tables
from pages._runs.metric_columns import metric_cells, metric_config
from pages._runs.run_tables import delta_label, number
from pages._ui import escaping, messages, paging
from pages._ui.texts import t, translated

PAGE_VERSIONS = 200
_TESTED_ON = {
    TestedOn.SAME: text("Production's test rows"),
    TestedOn.OTHER: text("▲ other rows"),
    TestedOn.UNKNOWN: text("○ rows not known"),
}


def models_table(models: tuple[ModelSummary, ...]) -> None:
    """Show one line per model, with the version in Production and its KPIs; models in Production first."""
    rows = []
    for model in sorted(models, key=lambda model: model.production is None):
        production = next((version for version in model.versions if version.version == model.production), None)
        rows.append(
            {
                t("Model"): model.name,
                t("In Production"): t("version {version}", version=production.version) if production else t("none"),
                t("KPIs in Production"): _kpis(production.metrics) if production else None,
                t("Data in Production"): run_tables.data_labels(production.data) if production else None,
                t("Versions"): len(model.versions),
                t("Last change"): model.updated,
            }
        )
    escaping.table(
        pd.DataFrame(rows),
        placeholder="–",
        column_config={t("Last change"): messages.time_column(t("Last change"))},
        alt=t("Registered models and their versions in Production"),
    )


def versions_table(model: ModelSummary, findings: Sequence[Finding], kpi: str | None) -> None:
    """Show one line per version, newest first, page by page, with the number of its open *findings*.

    Where a version is in Production, each line has its difference in *kpi* and says whether it compares.
    """
    last = paging.last_page(len(model.versions), PAGE_VERSIONS) or 1
    page = min(paging.requested_page("models_page", of=model.name), last)
    shown = model.versions[(page - 1) * PAGE_VERSIONS : page * PAGE_VERSIONS]
    open_findings = {
        version.version: finding_views.open_label(
            findings_about_version(findings, ModelVersionKey(model=model.name, version=version.version))
        )
        for version in shown
    }
    created, against = t("Created"), t("{metric} against Production", metric=kpi)
    deltas = deltas_to_production(model)
    is_compared = kpi is not None and any(kpi in delta.deltas for delta in deltas.values())
    measured = [version.metrics for version in shown]
    names = sorted({name for metrics in measured for name in metrics}, key=_position)
    rows = [
        {
            t("Version"): version.version,
            t("Stage"): messages.label(version.stage),
            **({t("Findings"): open_findings[version.version]} if any(open_findings.values()) else {}),
            **(_comparison(deltas.get(version.version), str(kpi), against) if is_compared else {}),
            t("Data version"): run_tables.data_labels(version.data) or t("no data version"),
            **cells,
            t("Run"): version.run_name,
            t("Run id"): version.run_id,
            t("By"): version.user,
            created: version.created,
            t("Aliases"): ", ".join(version.aliases) or None,
            t("Problem"): version.problem,
            **({t("Notes"): "; ".join(version.notes) or None} if any(v.notes for v in shown) else {}),
        }
        for version, cells in zip(shown, metric_cells(measured, names), strict=True)
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=lambda frame: _style(frame, against),
        placeholder="–",
        height=min(36 * (len(rows) + 1) + 3, 360),
        column_config={
            **metric_config(measured, names),
            created: messages.time_column(created),
        },
        alt=t("Versions of {model}, newest first", model=model.name),
    )
    if is_compared and any(delta.tested_on is not TestedOn.SAME for delta in deltas.values()):
        st.caption(
            t(
                "KPIs compare exactly only if they were measured on the same test rows. **Head to head** compares two "
                "versions on the same rows."
            )
        )
    if last > 1:
        paging.page_box("models_page", page, last=last, of=model.name)


def _comparison(delta: VersionDelta | None, kpi: str, against: str) -> dict[str, str | None]:
    """Return the difference from Production and whether it compares; nothing for the version in Production."""
    if delta is None:
        return {against: None, t("Tested on"): None}
    value = delta.deltas.get(kpi)
    return {
        # A cell that begins with + or - would be a formula in a spreadsheet.
        against: None if value is None else f"Δ {delta_label(value, direction(kpi, value))}",
        t("Tested on"): translated(_TESTED_ON[delta.tested_on]),
    }


def _style(rows: pd.DataFrame, against: str) -> Styler:
    styled = messages.coloured(rows)
    return styled.map(run_tables.better_or_worse, subset=[against]) if against in rows.columns else styled


def _kpis(values: Mapping[str, float]) -> str:
    return ", ".join(
        f"{name} {number(values[name])}" for name in sorted(values, key=_position) if not name.endswith("Rows")
    )


def _position(name: str) -> tuple[int, str]:
    order = ("precision", "recall", "f1", "accuracy", "roc_auc", "log_loss", "rmse", "mae", "mape", "r2")
    return (order.index(name) if name in order else len(order) + name.endswith("Rows"), name)
