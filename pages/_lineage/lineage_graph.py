"""The lineage graph, with columns from data to predictions and nodes to click on, and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import Edge, Finding, Lineage, Node, NodeKind
from core.escaping import visible
from core.texts import text
from pages._audit import finding_views
from pages._ui import charts
from pages._ui.texts import t, translated

# Column, symbol and word of each kind: colour is never the only sign.
_KINDS: dict[NodeKind, tuple[int, str, str]] = {
    NodeKind.COMMIT: (0, "rect", text("data version")),
    NodeKind.CODE: (0, "triangle", text("code")),
    NodeKind.RUN: (1, "circle", text("run")),
    NodeKind.MODEL: (2, "roundRect", text("model version")),
    NodeKind.DECISION: (3, "diamond", text("decision")),
    NodeKind.BATCH: (3, "pin", text("predictions")),
}
_PROBLEM = "#D55E00"
_LONGEST_LABEL = 44
_ROW_HEIGHT = 96

# Open findings by the id of the node that they concern.
FindingsByNode = Mapping[str, Sequence[Finding]]


def findings_by_node(graph: Lineage, findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Return *findings* by the id of the node that they concern; a finding of a model concerns each of its versions."""
    by_node: dict[str, list[Finding]] = {}
    for finding in findings:
        for node in graph.nodes:
            subjects = {node.subject} | ({node.subject.rpartition("/")[0]} if node.kind is NodeKind.MODEL else set())
            # The finding of a rollback by one person has the id of its decision.
            if node.subject and (finding.subject in subjects or finding.id == node.subject):
                by_node.setdefault(node.id, []).append(finding)
    return by_node


def draw(graph: Lineage, findings: FindingsByNode | None = None, *, key: str) -> str | None:
    """Draw the graph and return the id of the node that was clicked, or None."""
    rows: dict[int, int] = {}
    places: dict[str, tuple[int, int]] = {}
    for node in graph.nodes:
        column = _KINDS[node.kind][0]
        places[node.id] = (column, rows.get(column, 0))
        rows[column] = rows.get(column, 0) + 1
    height = max(300, _ROW_HEIGHT * max(rows.values(), default=1) + 80)
    event = st.echarts_chart(
        _spec(graph, places, rows, findings or {}),
        height=height,
        key=key,
        on_select="rerun",
        renderer="svg",
        alt=t("Lineage graph of {root}. The table below it holds the same data.", root=visible(graph.root)),
    )
    return _clicked(event, graph)


def table(graph: Lineage, findings: FindingsByNode | None = None) -> pd.DataFrame:
    """Return one row per node: its kind, the nodes before and after it, and its problems."""
    by_node = findings or {}
    names = {node.id: node.label for node in graph.nodes}
    return pd.DataFrame(
        [
            {
                t("Kind"): kind_label(node),
                t("Name"): node.label,
                t("From"): ", ".join(names[e.source] for e in graph.edges if e.target == node.id),
                t("Leads to"): ", ".join(names[e.target] for e in graph.edges if e.source == node.id),
                t("Problem"): "; ".join(
                    [
                        *filter(None, [node.problem]),
                        *(t("finding: {title}", title=finding_views.title(f)) for f in by_node.get(node.id, ())),
                    ]
                ),
            }
            for node in sorted(graph.nodes, key=lambda node: _KINDS[node.kind][0])
        ]
    )


def kind_label(node: Node) -> str:
    """Return the word for the kind of *node*, in the language of the session."""
    return translated(_KINDS[node.kind][2])


def _spec(
    graph: Lineage, places: Mapping[str, tuple[int, int]], rows: Mapping[int, int], findings: FindingsByNode
) -> dict[str, Any]:
    flagged = {node.id for node in graph.nodes if node.problem or findings.get(node.id)}
    colours = dict(zip(NodeKind, (*charts.colours(), *charts.colours()), strict=False))
    ink = "#E6EBF0" if charts.is_dark() else "#17212B"
    deepest = max(rows.values(), default=1)

    def position(node: Node) -> list[float]:
        column, row = places[node.id]
        return [column, (row + 0.5) * deepest / rows[column] - 0.5]

    def curveness(edge: Edge) -> float:
        # An edge that skips a column passes below the symbols of that column.
        return 0.06 if places[edge.target][0] - places[edge.source][0] < 2 else -0.2

    axis = {"show": False, "type": "value"}
    return {
        "animation": False,
        "tooltip": {"trigger": "item", "renderMode": "richText"},
        "grid": {"left": 66, "right": 66, "top": 64, "bottom": 76},
        # Axes that are not drawn keep the symbols round at any width of the window.
        "xAxis": {**axis, "min": 0, "max": max(rows, default=1) or 1},
        "yAxis": {**axis, "min": 0, "max": max(deepest - 1, 1), "inverse": True},
        "series": [
            {
                "type": "graph",
                "coordinateSystem": "cartesian2d",
                "edgeSymbol": ["none", "arrow"],
                "edgeSymbolSize": 8,
                "label": {
                    "show": True,
                    "position": "bottom",
                    "color": ink,
                    "fontSize": 12,
                    "lineHeight": 15,
                    "width": 118,
                    "overflow": "break",
                },
                "lineStyle": {"color": ink, "opacity": 0.55, "width": 1.5},
                "emphasis": {"focus": "adjacency"},
                "selectedMode": "single",
                "select": {"itemStyle": {"borderColor": ink, "borderWidth": 4}},
                "data": [
                    {
                        "id": node.id,
                        "name": _short(node, node.id in flagged),
                        "value": position(node),
                        "symbol": _KINDS[node.kind][1],
                        "symbolSize": 34 if node.id == graph.root else 24,
                        "tooltip": {"formatter": _short(node, node.id in flagged)},
                        # Labels of neighbouring columns are on different sides, so that narrow windows stay legible.
                        "label": {"position": "top" if _KINDS[node.kind][0] % 2 else "bottom"},
                        "itemStyle": {
                            "color": colours[node.kind],
                            "borderColor": _PROBLEM if node.id in flagged else ink,
                            "borderWidth": 4 if node.id in flagged else 1,
                        },
                    }
                    for node in graph.nodes
                ],
                "links": [
                    {"source": edge.source, "target": edge.target, "lineStyle": {"curveness": curveness(edge)}}
                    for edge in graph.edges
                ],
            }
        ],
    }


def _short(node: Node, is_flagged: bool) -> str:
    label = visible(node.label)
    label = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
    return f"{'! ' if is_flagged else ''}{kind_label(node)}\n{label}"


def _clicked(event: Any, graph: Lineage) -> str | None:
    """Return the node at the index that the chart reports; a click on an edge selects no node."""
    for group in (event or {}).get("selection", {}).get("selected", []):
        if group.get("data_type") not in (None, "node", "main"):
            continue
        for index in group.get("data_indices", []):
            if 0 <= index < len(graph.nodes):
                return str(graph.nodes[index].id)
    return None
