"""The lineage graph: columns from data to predictions, each node clickable; and the same as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from core.entities import Edge, Finding, Lineage, Node, NodeKind
from core.escaping import visible
from pages._audit import finding_views
from pages._ui import charts

# Column, mark and word of each kind: colour is never the only sign.
_KINDS: dict[NodeKind, tuple[int, str, str]] = {
    NodeKind.COMMIT: (0, "rect", "data version"),
    NodeKind.CODE: (0, "triangle", "code"),
    NodeKind.RUN: (1, "circle", "run"),
    NodeKind.MODEL: (2, "roundRect", "model version"),
    NodeKind.DECISION: (3, "diamond", "decision"),
    NodeKind.BATCH: (3, "pin", "predictions"),
}
_PROBLEM = "#D55E00"
_LONGEST_LABEL = 44
_ROW_HEIGHT = 96


# Open findings by the id of the node that they are about.
Marked = Mapping[str, Sequence[Finding]]


def findings_of(graph: Lineage, findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Those of *findings* that are about a node; one about a model as a whole is about each of its versions."""
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        for node in graph.nodes:
            named = {node.subject} | ({node.subject.rpartition("/")[0]} if node.kind is NodeKind.MODEL else set())
            # A rollback by one person has the id of its decision.
            if node.subject and (finding.subject in named or finding.id == node.subject):
                found.setdefault(node.id, []).append(finding)
    return found


def draw(graph: Lineage, findings: Marked | None = None, *, key: str) -> str | None:
    """Draws the graph and returns the id of the node that was clicked, or None."""
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
        alt=f"Lineage graph of {visible(graph.root)}; the table beside it says the same in text.",
    )
    return _clicked(event, graph)


def table(graph: Lineage, findings: Marked | None = None) -> pd.DataFrame:
    """One line per node: what it is, what it came from, what came from it, and what is wrong with it."""
    marked = findings or {}
    names = {node.id: node.label for node in graph.nodes}
    return pd.DataFrame(
        [
            {
                "What": _KINDS[node.kind][2],
                "Name": node.label,
                "From": ", ".join(names[e.source] for e in graph.edges if e.target == node.id),
                "Leads to": ", ".join(names[e.target] for e in graph.edges if e.source == node.id),
                "Problem": "; ".join(
                    [
                        *filter(None, [node.problem]),
                        *(f"finding: {finding_views.words(f)}" for f in marked.get(node.id, ())),
                    ]
                ),
            }
            for node in sorted(graph.nodes, key=lambda node: _KINDS[node.kind][0])
        ]
    )


def kind_word(node: Node) -> str:
    return _KINDS[node.kind][2]


def _spec(
    graph: Lineage, places: Mapping[str, tuple[int, int]], rows: Mapping[int, int], marked: Marked
) -> dict[str, Any]:
    wrong = {node.id for node in graph.nodes if node.problem or marked.get(node.id)}
    colours = dict(zip(NodeKind, (*charts.colours(), *charts.colours()), strict=False))
    ink = "#E6EBF0" if charts.is_dark() else "#17212B"
    deepest = max(rows.values(), default=1)

    def at(node: Node) -> list[float]:
        column, row = places[node.id]
        return [column, (row + 0.5) * deepest / rows[column] - 0.5]

    def bow(edge: Edge) -> float:
        # What passes over a column swings below the marks that stand there.
        return 0.06 if places[edge.target][0] - places[edge.source][0] < 2 else -0.2

    axis = {"show": False, "type": "value"}
    return {
        "animation": False,
        "tooltip": {"trigger": "item", "renderMode": "richText"},
        "grid": {"left": 66, "right": 66, "top": 64, "bottom": 76},
        # Axes that are not drawn: they keep the marks round at any width of the window.
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
                        "name": _short(node, node.id in wrong),
                        "value": at(node),
                        "symbol": _KINDS[node.kind][1],
                        "symbolSize": 34 if node.id == graph.root else 24,
                        "tooltip": {"formatter": _short(node, node.id in wrong)},
                        # Neighbouring columns write on different sides, so that narrow windows stay legible.
                        "label": {"position": "top" if _KINDS[node.kind][0] % 2 else "bottom"},
                        "itemStyle": {
                            "color": colours[node.kind],
                            "borderColor": _PROBLEM if node.id in wrong else ink,
                            "borderWidth": 4 if node.id in wrong else 1,
                        },
                    }
                    for node in graph.nodes
                ],
                "links": [
                    {"source": edge.source, "target": edge.target, "lineStyle": {"curveness": bow(edge)}}
                    for edge in graph.edges
                ],
            }
        ],
    }


def _short(node: Node, is_wrong: bool) -> str:
    label = visible(node.label)
    label = label if len(label) <= _LONGEST_LABEL else f"{label[: _LONGEST_LABEL - 1]}…"
    return f"{'! ' if is_wrong else ''}{_KINDS[node.kind][2]}\n{label}"


def _clicked(event: Any, graph: Lineage) -> str | None:
    """The chart tells what was clicked by its place in the data of the series; a click on an edge is none."""
    for group in (event or {}).get("selection", {}).get("selected", []):
        if group.get("data_type") not in (None, "node", "main"):
            continue
        for index in group.get("data_indices", []):
            if 0 <= index < len(graph.nodes):
                node: Node = graph.nodes[index]
                return node.id
    return None
