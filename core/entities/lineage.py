"""The graph that leads from data to predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class NodeKind(str, Enum):
    COMMIT = "commit"
    RUN = "run"
    CODE = "code"
    MODEL = "model"
    DECISION = "decision"
    BATCH = "batch"


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of a lineage graph. *id* is unique in the graph; *subject* is its name in the audit log and in links."""

    id: str
    kind: NodeKind
    label: str
    subject: str
    detail: Mapping[str, str] = field(default_factory=dict)
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class Edge:
    source: str
    target: str
    label: str


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """A directed graph from data to predictions; *root* is the requested node."""

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
