"""Two versions compared on a page: verdict and warnings, the KPIs as a picture, then what differs and what is equal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from plotly.subplots import make_subplots

from core.entities import Actor, DataUse, IdentityVerdict, ModelVersionKey, Readability
from core.features.runs.compare import Direction
from core.features.runs.compare_versions import (
    DataComparison,
    DataPair,
    DataSide,
    MetricPair,
    Pair,
    Part,
    VersionComparison,
)
from core.features.runs.compare_versions import compare_versions as compare
from core.features.runs.models import ModelSummary
from core.features.stores import Stores
from core.learning.comparison.signatures import ColumnPair, ColumnRole, Compatibility
from core.learning.kpis import is_kpi, is_lower_better
from core.learning.safety.inspect_model import ModelColumn
from core.texts import text
from pages._runs import run_tables
from pages._ui import charts, escaping, links, messages, pickers
from pages._ui.texts import t, tn, translated

_PARTS = {
    Part.PARAMS: text("Params"),
    Part.REQUIREMENTS: text("Requirements"),
    Part.ENVIRONMENT: text("Environment"),
    Part.CODE: text("Code"),
    Part.VERSION: text("Version"),
    Part.ARTIFACT: text("Artifact"),
    Part.TAGS: text("Tags of the version"),
    Part.RUN_TAGS: text("Tags of the run"),
}
_ROLES = {
    ColumnRole.INPUT: text("input"),
    ColumnRole.OUTPUT: text("output"),
    ColumnRole.PARAMETER: text("parameter"),
}
_COMPARISONS = {
    DataComparison.SAME: text("same version"),
    DataComparison.DIFFERENT: text("different version"),
    DataComparison.ONE_ONLY: text("only one of them"),
    DataComparison.UNKNOWN: text("unknown"),
}
_MOST_DRAWN = 12
# A tag can hold the JSON of a whole model.
_LONGEST_CELL = 400
_ROW_HEIGHT = 46


def draw(stores: Stores, actor: Actor, models: Sequence[ModelSummary], key: ModelVersionKey) -> None:
    """Let a person pick the version to compare *key* with, and show the comparison."""
    rival = _pick_rival(models, key)
    if rival is None:
        return
    with messages.show_errors():
        with st.spinner(t("Comparing the versions")):
            found = compare(stores, actor, rival, key)
        show(found)


def show(found: VersionComparison) -> None:
    """Show a comparison: what must be known first, the KPIs, then the differences, and equal facts folded away."""
    first, second = (view.version.key for view in (found.first, found.second))
    st.markdown(
        f"**{t('{second} compared with {first}', second=messages.plain(second), first=messages.plain(first))}**"
    )
    _signature_verdict(found)
    for note in found.notes:
        st.warning(messages.plain(translated(note)), icon=":material/difference:")
    if found.unknown:
        unknown = [messages.plain(translated(sentence)) for sentence in found.unknown]
        st.warning("\n\n".join(unknown), icon=":material/help:")
    _kpis(found)
    _data(found)
    _signature(found)
    names = {"first": str(first), "second": str(second)}
    shown = {part: [pair for pair in found.facts[part] if pair.differs and not pair.is_own] for part in _PARTS}
    for part, pairs in shown.items():
        if pairs:
            _pairs(translated(_PARTS[part]), pairs, names)
    same = [translated(_PARTS[part]) for part, pairs in shown.items() if not pairs and found.facts[part]]
    if same:
        st.caption(t("No difference: {parts}.", parts=", ".join(same)))
    _folded(found, names)


def _pick_rival(models: Sequence[ModelSummary], key: ModelVersionKey) -> ModelVersionKey | None:
    """Return the version to compare with: by default Production, or else the version before the chosen one."""
    left, right = st.columns(2)
    names = [model.name for model in models]
    name = key.model
    if len(names) > 1:
        name = (
            pickers.choose(
                t("Model to compare with"),
                names,
                "models_other_model",
                at=left,
                index=names.index(key.model),
                of=key.model,
            )
            or key.model
        )
    model = next(model for model in models if model.name == name)
    others = [version for version in model.versions if (model.name, version.version) != (key.model, key.version)]
    if not others:
        st.info(t("{model} has no other version to compare with.", model=messages.plain(name)))
        return None
    numbers = [version.version for version in others]
    before = next((number for number in numbers if number < key.version), numbers[0])
    default = model.production if model.production in numbers else before if name == key.model else numbers[0]
    labels = {str(version.version): f"{version.version} · {messages.label(version.stage)}" for version in others}
    number = pickers.choose(
        t("Version to compare with"),
        list(labels),
        "models_other",
        labels=labels,
        at=right,
        index=numbers.index(default),
        of=f"{key} {name}",
    )
    return ModelVersionKey(model=name, version=int(number)) if number else None


def _signature_verdict(found: VersionComparison) -> None:
    """Say whether a program that calls the first version can call the second one, and why not."""
    signature, first = found.signature, messages.plain(found.first.version.key)
    if signature.verdict is Compatibility.INCOMPATIBLE:
        why = " ".join(messages.plain(translated(problem)) for problem in signature.problems)
        sentence = t("Incompatible signature: a program that calls {first} can fail.", first=first)
        st.error(f"{sentence} {why}", icon=":material/link_off:")
    elif signature.verdict is Compatibility.UNKNOWN:
        why = " ".join(messages.plain(translated(reason)) for reason in signature.unknown)
        sentence = t("It is unknown whether a program that calls {first} can call this version.", first=first)
        st.info(f"{sentence} {why}", icon=":material/help:")
    else:
        sentence = t("Compatible signature: a program that calls {first} can call this version.", first=first)
        st.success(sentence, icon=":material/link:")


def _kpis(found: VersionComparison) -> None:
    drawn = [
        metric
        for metric in _ordered(found.metrics)
        if is_kpi(metric.name)
        and all(value is not None and math.isfinite(value) for value in (metric.first, metric.second))
    ]
    if drawn:
        names = str(found.first.version.key), str(found.second.version.key)
        shown = drawn[:_MOST_DRAWN]
        charts.show(
            _dumbbells(shown, names),
            alt=t("KPIs of {first} and {second}", first=names[0], second=names[1]),
            key="models_versions_kpis",
            height=80 + _ROW_HEIGHT * len(shown),
        )
        if len(drawn) > len(shown):
            st.caption(
                t("The first {shown} of {total} KPIs are drawn; the table has all.", shown=len(shown), total=len(drawn))
            )
    if not found.metrics:
        st.info(t("Neither version has KPIs of its own."))
        return
    difference = t("Difference")
    rows = [
        {
            t("KPI"): t("{metric} (lower is better)", metric=metric.name)
            if is_lower_better(metric.name)
            else metric.name,
            str(found.first.version.key): run_tables.number(metric.first),
            str(found.second.version.key): run_tables.number(metric.second),
            # A text that begins with a sign would be escaped as a formula.
            difference: metric.delta,
            t("Verdict"): run_tables.direction_label(metric.direction),
        }
        for metric in _ordered(found.metrics)
    ]
    escaping.table(
        pd.DataFrame(rows),
        style=run_tables.coloured,
        placeholder="–",
        column_config={difference: st.column_config.NumberColumn(format="%+.4g")},
        alt=t("KPIs of both versions, with the difference"),
    )


def _ordered(metrics: Sequence[MetricPair]) -> list[MetricPair]:
    by_name = {metric.name: metric for metric in metrics}
    return [by_name[name] for name in run_tables.metric_names([dict.fromkeys(by_name, 0.0)])]


def _dumbbells(metrics: Sequence[MetricPair], names: tuple[str, str]) -> go.Figure:
    """Return a line per KPI, each on a scale that begins at 0: a ring for the first version, a dot for the second."""
    shades = {Direction.BETTER: run_tables.BETTER_COLOUR, Direction.WORSE: run_tables.WORSE_COLOUR}
    figure = make_subplots(rows=len(metrics), cols=1, vertical_spacing=0)
    for row, metric in enumerate(metrics, start=1):
        assert metric.first is not None and metric.second is not None  # noqa: PT018 -- the caller draws finite values only
        colour = shades.get(metric.direction, "#7F8C99")
        label = charts.plain(metric.name)
        where = {"row": row, "col": 1}
        figure.add_scatter(
            x=[metric.first, metric.second],
            y=[label, label],
            mode="lines",
            line={"color": colour, "width": 3},
            hoverinfo="skip",
            showlegend=False,
            **where,
        )
        is_right = metric.second >= metric.first
        for place, value in enumerate((metric.first, metric.second)):
            is_leftmost = (place == 0) == is_right
            figure.add_scatter(
                x=[value],
                y=[label],
                name=charts.plain(names[place]),
                mode="markers+text",
                # Two equal values have one label.
                text=["" if place == 0 and metric.first == metric.second else run_tables.number(value)],
                textposition="middle left" if is_leftmost else "middle right",
                marker={
                    "size": 12,
                    "color": colour,
                    "symbol": "circle-open" if place == 0 else "circle",
                    "line": {"width": 3, "color": colour},
                },
                hovertemplate=f"{charts.plain(names[place])} %{{x:.6g}}<extra>{label}</extra>",
                legendgroup=str(place),
                showlegend=row == 1,
                **where,
            )
        low, high = min(metric.first, metric.second, 0.0), max(metric.first, metric.second, 0.0)
        pad = (high - low or 1.0) / 4
        figure.update_xaxes(range=[low - pad if low < 0 else 0.0, high + pad], showticklabels=False, ticks="", **where)
        figure.update_xaxes(showgrid=False, zeroline=True, **where)
        figure.update_yaxes(ticks="", showgrid=False, **where)
    figure.update_layout(legend={"orientation": "h", "y": 1, "yanchor": "bottom"}, margin={"t": 50})
    return figure


def _data(found: VersionComparison) -> None:
    st.markdown(f"**{t('Data')}**")
    rows = [
        {
            t("Table"): pair.table or t("unknown"),
            t("Use"): t("training") if pair.use is DataUse.TRAINING else t("evaluation"),
            str(found.first.version.key): _data_side(pair.first),
            str(found.second.version.key): _data_side(pair.second),
            t("Comparison"): translated(_COMPARISONS[pair.comparison]),
        }
        for pair in found.data
    ]
    escaping.table(pd.DataFrame(rows), style=messages.coloured, placeholder="–", alt=t("Data of both versions"))
    for pair in found.data:
        _diff_link(pair)


def _diff_link(pair: DataPair) -> None:
    versions = pair.versions_to_diff
    if versions is not None and pair.table is not None:
        before, after = sorted(versions)
        links.link(
            "tables",
            t(
                "Compare the rows of {table}@{before} and @{after}",
                table=messages.plain(pair.table),
                before=before,
                after=after,
            ),
            tables_table=pair.table,
            tables_tab=t("Compare versions"),
            tables_before=str(before),
            tables_after=str(after),
        )


def _data_side(side: DataSide | None) -> str | None:
    if side is None:
        return None
    view = side.view
    if view.source.version is None:
        return t("version unknown")
    return " · ".join(
        (
            t("version {version}", version=view.source.version),
            t("unknown number of rows") if side.rows is None else tn("{n:,} row", "{n:,} rows", side.rows),
            messages.word(view.verdict.verdict if view.verdict else Readability.UNKNOWN),
            messages.label(view.identity.verdict if view.identity else IdentityVerdict.UNPROVEN),
        )
    )


def _signature(found: VersionComparison) -> None:
    changed = [column for column in found.signature.columns if column.first != column.second]
    if changed:
        st.markdown(f"**{t('Signature')}**")
        rows = [_column_row(column, found) for column in changed]
        escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Differences of the signatures"))


def _column_row(column: ColumnPair, found: VersionComparison) -> dict[str, object]:
    return {
        t("Role"): translated(_ROLES[column.role]),
        t("Column"): column.name,
        str(found.first.version.key): _type(column.first),
        str(found.second.version.key): _type(column.second),
        t("For callers"): translated(column.problem) if column.problem else t("compatible"),
    }


def _type(column: ModelColumn | None) -> str | None:
    if column is None:
        return None
    return column.type if column.required else t("{type}, optional", type=column.type)


def _pairs(title: str, pairs: Sequence[Pair], names: dict[str, str]) -> None:
    st.markdown(f"**{title}**")
    rows = [_pair_row(pair, names) for pair in pairs]
    escaping.table(pd.DataFrame(rows), placeholder="–", alt=t("Differences: {part}", part=title))


def _pair_row(pair: Pair, names: dict[str, str]) -> dict[str, object]:
    return {
        t("Field"): translated(pair.name),
        names["first"]: _cut(pair.first),
        names["second"]: _cut(pair.second),
    }


def _cut(value: str | None) -> str | None:
    """Return *value* as a cell shows it: the pin of a package would be escaped as a formula."""
    value = value.removeprefix("==") if value is not None else None
    if value is None or len(value) <= _LONGEST_CELL:
        return value
    return t("{start}… ({length:,} characters)", start=value[:_LONGEST_CELL], length=len(value))


def _folded(found: VersionComparison, names: dict[str, str]) -> None:
    """Fold away the equal facts, and the tags of MLflow and ModelLedger, which differ between any two versions."""
    every = [(part, pair) for part in _PARTS for pair in found.facts[part]]
    columns = [column for column in found.signature.columns if column.first == column.second]
    equal = [{t("Part"): t("Signature"), **_column_row(column, found)} for column in columns]
    equal = [
        {t("Part"): row[t("Part")], t("Field"): row[t("Column")], names["second"]: row[names["second"]]}
        for row in equal
    ]
    equal += [
        {t("Part"): translated(_PARTS[part]), t("Field"): translated(pair.name), names["second"]: _cut(pair.second)}
        for part, pair in every
        if not pair.differs
    ]
    own = [
        {t("Part"): translated(_PARTS[part]), **_pair_row(pair, names)}
        for part, pair in every
        if pair.differs and pair.is_own
    ]
    for label, icon, rows in (
        (tn("{n} equal fact", "{n} equal facts", len(equal)), ":material/equal:", equal),
        (
            tn("{n} different tag of MLflow or ModelLedger", "{n} different tags of MLflow or ModelLedger", len(own)),
            ":material/sell:",
            own,
        ),
    ):
        if rows:
            with st.expander(label, icon=icon):
                escaping.table(pd.DataFrame(rows), placeholder="–", alt=label)
