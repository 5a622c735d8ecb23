"""The models of the Overview: cards for a few models; for many a table with search, filters, order and pages."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.features.monitoring.model_lines import DataFilter, ModelLine, Order, StageFilter, select_lines
from core.learning.kpis import is_lower_better
from core.texts import text
from pages._audit import finding_views
from pages._overview import cards
from pages._ui import escaping, messages, paging, pickers
from pages._ui.texts import t, tn

# So many models are shown as cards, without a table.
_CARDS = 3
_PAGE = 25
_MODEL = "overview_model"
_ANY = "any"
# The words for each choice, in the order in which they are offered.
_STAGES = {
    _ANY: text("any stage"),
    StageFilter.PRODUCTION.value: text("in Production"),
    StageFilter.STAGING.value: text("in Staging"),
    StageFilter.NEITHER.value: text("in neither"),
}
_DATA = {
    _ANY: text("any data"),
    DataFilter.READABLE.value: text("data readable"),
    DataFilter.NOT_READABLE.value: text("data not readable"),
    DataFilter.UNKNOWN.value: text("data unknown"),
}
_ORDERS = {
    Order.ATTENTION.value: text("needs attention first"),
    Order.PRODUCTION.value: text("Production first"),
    Order.NAME.value: text("by name"),
    Order.UPDATED.value: text("last changed first"),
}


def is_long(models: Sequence[object]) -> bool:
    """Return whether *models* are too many for cards."""
    return len(models) > _CARDS


def draw(lines: Sequence[ModelLine]) -> None:
    """Show the models; the address holds search, filters, order, page and the chosen model."""
    if not is_long(lines):
        for line in lines:
            _card(line)
        return
    shown, of = _filtered(lines)
    if not shown:
        st.info(t("No model matches. Change the search or the filters."))
        return
    last = paging.last_page(len(shown), _PAGE) or 1
    page = min(paging.requested_page("overview_page", of=of), last)
    part = shown[(page - 1) * _PAGE : page * _PAGE]
    _table(part)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        if last > 1:
            paging.page_box("overview_page", page, last=last, of=of)
        attention = sum(line.needs_attention for line in lines)
        st.caption(
            t(
                "{shown} of {total} models. {attention} need attention. Choose a row to see its card.",
                shown=len(shown),
                total=len(lines),
                attention=attention,
            )
        )
    chosen = st.query_params.get(_MODEL)
    for line in lines:
        if line.serving.model == chosen:
            _card(line)


def _filtered(lines: Sequence[ModelLine]) -> tuple[tuple[ModelLine, ...], str]:
    """Draw search, filters and order. Return the lines that are left, and a text that names the choice."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        search = st.text_input(
            t("Search"),
            key="overview_text",
            bind="query-params",
            icon=":material/search:",
            placeholder=t("model, alias, data or person"),
            width=230,
        )
        stage = pickers.choose_word(t("Stage"), _STAGES, "overview_stage")
        data = pickers.choose_word(t("Data"), _DATA, "overview_data")
        order = pickers.choose_word(t("Order"), _ORDERS, "overview_order")
        only = st.toggle(t("Needs attention"), key="overview_attention", bind="query-params")
    chosen = select_lines(
        lines,
        text=search or "",
        stage=None if stage == _ANY else StageFilter(stage),
        data=None if data == _ANY else DataFilter(data),
        only_attention=only,
        order=Order(order),
    )
    return chosen, f"{search} {stage} {data} {order} {only}"


def _table(lines: Sequence[ModelLine]) -> None:
    since, trend, kpi = t("Since"), t("Trend"), t("Main KPI")
    rows = [
        {
            t("Model"): line.serving.model,
            t("Attention"): _attention(line),
            t("In Production"): _production(line),
            since: line.serving.since,
            kpi: _kpi(line),
            trend: _trend(line),
            t("Trained on"): str(line.serving.data) if line.serving.data else None,
            t("Data"): _data_label(line),
        }
        for line in lines
    ]

    def pick_row() -> None:
        selected = st.session_state["overview_models"].selection.rows
        if selected:
            pickers.preselect(_MODEL, lines[selected[0]].serving.model)
        else:
            st.query_params.pop(_MODEL, None)

    escaping.table(
        pd.DataFrame(rows),
        style=messages.coloured,
        key="overview_models",
        on_select=pick_row,
        selection_mode="single-row",
        placeholder="–",
        height=35 * (len(rows) + 1) + 3,
        column_config={
            t("Model"): st.column_config.TextColumn(t("Model"), pinned=True),
            since: messages.time_column(since),
            kpi: st.column_config.TextColumn(kpi, help=t("↓: lower is better.")),
            trend: st.column_config.LineChartColumn(
                trend, help=t("The main KPI of the newest versions, oldest first."), width="small"
            ),
        },
        alt=t("Models, one line each, with the version in Production"),
    )


def _card(line: ModelLine) -> None:
    with st.container(border=True):
        cards.model_card(line.serving, line.findings, is_untaken=line.is_untaken)


def _production(line: ModelLine) -> str | None:
    serving = line.serving
    if serving.production is not None:
        return t("● {version} of {total}", version=serving.production.version, total=serving.versions)
    if serving.staging:
        return t("▲ Staging: {versions}", versions=", ".join(map(str, serving.staging)))
    return tn("○ {n} version", "○ {n} versions", serving.versions)


def _attention(line: ModelLine) -> str | None:
    parts = [finding_views.open_label(line.findings)]
    if line.requests:
        parts.append(tn("◐ {n} request", "◐ {n} requests", len(line.requests)))
    if line.risks and not line.findings:
        parts.append(tn("▲ {n} risk", "▲ {n} risks", len(line.risks)))
    return "; ".join(part for part in parts if part) or None


def _kpi(line: ModelLine) -> str | None:
    name = line.serving.main_kpi
    value = line.serving.metrics.get(name or "")
    if name is None or value is None:
        return None
    shown = f"{value:.4g}" if math.isfinite(value) else str(value)
    return f"{name} {'↓ ' if is_lower_better(name) else ''}{shown}"


def _trend(line: ModelLine) -> list[float] | None:
    values = [v for v in line.serving.trend.get(line.serving.main_kpi or "", ()) if v is not None and math.isfinite(v)]
    return values if len(values) > 1 else None


def _data_label(line: ModelLine) -> str | None:
    if line.serving.production is None:
        return None
    if not line.serving.is_checked:
        return t("○ not checked yet")
    return messages.label(line.serving.verdict.verdict) if line.serving.verdict else t("○ unknown")
