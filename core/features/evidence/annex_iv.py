"""Annex IV of the EU AI Act (Regulation (EU) 2024/1689) against what a dossier holds; what is missing is said so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Cover(str, Enum):
    """How much of a point the dossier answers. There is no "fully": each point also asks what no log can know."""

    PARTLY = "partly"
    MISSING = "missing"


class Fact(str, Enum):
    """What a dossier may hold; coverage is judged by what this one does hold."""

    PURPOSE = "purpose"
    DATA = "data version"
    DATA_READABLE = "readable data"
    CODE = "code commit"
    ENVIRONMENT = "environment"
    SIGNATURE = "inputs and outputs"
    PARAMS = "parameters"
    METRICS = "metrics"
    GATES = "gates"
    DECISIONS = "decisions"
    PREDICTIONS = "predictions"
    HISTORY = "earlier versions"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the annex, whether the dossier answers it, where, and what has to be written elsewhere."""

    number: str
    asks: str
    cover: Cover
    where: str
    missing: str


# Number, what it asks in our words, the facts that answer it with the section they stand in, and what no log knows.
_POINTS: tuple[tuple[str, str, Mapping[Fact, str], str], ...] = (
    (
        "1(a)",
        "Intended purpose, provider, version and its relation to earlier ones",
        {Fact.PURPOSE: "Purpose", Fact.HISTORY: "Versions of the model"},
        "The provider's name.",
    ),
    ("1(b)", "Interaction with hardware, software and other AI systems", {}, "How the model is connected where used."),
    (
        "1(c)",
        "Versions of software and requirements for updates",
        {Fact.ENVIRONMENT: "Environment"},
        "Firmware, if any.",
    ),
    ("1(d)", "Forms in which the system is put into service", {}, "Packages, downloads or interfaces offered."),
    ("1(e)", "Hardware on which it is intended to run", {}, "The hardware."),
    ("1(f)", "Pictures of the product it is part of", {}, "Pictures and markings, where it is part of a product."),
    ("1(g)", "User interface given to the deployer", {}, "A description of that interface."),
    ("1(h)", "Instructions for use", {}, "The instructions."),
    (
        "2(a)",
        "Methods and steps of development, third-party tools",
        {Fact.CODE: "Code", Fact.PARAMS: "Training", Fact.ENVIRONMENT: "Environment"},
        "Pre-trained parts, where there are any.",
    ),
    (
        "2(b)",
        "Design: logic, choices and assumptions, what is optimised for",
        {Fact.PARAMS: "Training"},
        "The rationale of the design, assumptions about persons, trade-offs.",
    ),
    (
        "2(c)",
        "Architecture and computing resources used",
        {Fact.SIGNATURE: "Inputs and outputs"},
        "Computing resources.",
    ),
    (
        "2(d)",
        "Data: where it came from, scope, how it was selected, labelled and cleaned",
        {Fact.DATA: "Data", Fact.DATA_READABLE: "Data"},
        "How the data was obtained, selected and labelled before it was ingested.",
    ),
    ("2(e)", "Human oversight measures", {Fact.DECISIONS: "Decisions"}, "Oversight while the system is used."),
    ("2(f)", "Changes determined in advance", {Fact.GATES: "Gates"}, "Changes planned in advance."),
    (
        "2(g)",
        "Validation and testing: data, metrics, reports with date and signature",
        {Fact.METRICS: "KPIs", Fact.GATES: "Gates", Fact.DECISIONS: "Decisions"},
        "Robustness and discriminatory impact, where they were not measured as KPIs.",
    ),
    ("2(h)", "Cybersecurity measures", {}, "The measures."),
    (
        "3",
        "Monitoring, functioning and control; accuracy and its limits; input data",
        {Fact.METRICS: "KPIs", Fact.PREDICTIONS: "Predictions", Fact.SIGNATURE: "Inputs and outputs"},
        "Accuracy for specific groups, foreseeable unintended outcomes, oversight in use.",
    ),
    ("4", "Appropriateness of the performance metrics", {Fact.METRICS: "KPIs"}, "Why these metrics fit the purpose."),
    ("5", "Risk management system (Article 9)", {}, "The risk management system."),
    (
        "6",
        "Changes through the lifecycle",
        {Fact.DECISIONS: "Decisions", Fact.HISTORY: "Versions of the model"},
        "Changes outside the model, for example to the system around it.",
    ),
    ("7", "Harmonised standards applied", {}, "The list of standards or other solutions."),
    ("8", "EU declaration of conformity (Article 47)", {}, "A copy of the declaration."),
    ("9", "Post-market monitoring (Article 72)", {}, "The monitoring system and its plan."),
)


def coverage(held: frozenset[Fact]) -> tuple[Point, ...]:
    """Every point of the annex, in its order."""
    return tuple(_judged(number, asks, answers, missing, held) for number, asks, answers, missing in _POINTS)


def _judged(number: str, asks: str, answers: Mapping[Fact, str], missing: str, held: frozenset[Fact]) -> Point:
    found = {fact: section for fact, section in answers.items() if fact in held}
    absent = [fact.value for fact in answers if fact not in held]
    cover = Cover.MISSING if not found else Cover.PARTLY
    lacking = f"Not recorded for this version: {', '.join(absent)}. " if absent else ""
    where = ", ".join(dict.fromkeys(found.values())) or "nowhere in this dossier"
    return Point(number=number, asks=asks, cover=cover, where=where, missing=f"{lacking}{missing}")
