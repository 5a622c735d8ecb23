"""Annex IV of the EU AI Act (Regulation (EU) 2024/1689): which of its points a dossier covers, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from core.features.evidence.section import listed
from core.texts import text


class Cover(str, Enum):
    """How much of a point the dossier covers. Never fully: each point also requires facts that no log can hold."""

    PARTLY = "partly"
    MISSING = "missing"


class Fact(str, Enum):
    """The facts that a dossier may contain."""

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


COVER_WORDS = {Cover.PARTLY: text("partly"), Cover.MISSING: text("missing")}
_FACT_WORDS = {
    Fact.PURPOSE: text("purpose"),
    Fact.DATA: text("data version"),
    Fact.DATA_READABLE: text("readable data"),
    Fact.CODE: text("code commit"),
    Fact.ENVIRONMENT: text("environment"),
    Fact.SIGNATURE: text("inputs and outputs"),
    Fact.PARAMS: text("parameters"),
    Fact.METRICS: text("metrics"),
    Fact.GATES: text("gates"),
    Fact.DECISIONS: text("decisions"),
    Fact.PREDICTIONS: text("predictions"),
    Fact.HISTORY: text("earlier versions"),
}


@dataclass(frozen=True, kw_only=True)
class Point:
    """One point of the annex: how far the dossier covers it, in which section, and what the provider must add."""

    number: str
    asks: str
    cover: Cover
    where: str
    missing: str


# Number, requirement in our words, the facts that cover it with their sections, and what no log can hold.
_POINTS: tuple[tuple[str, str, Mapping[Fact, str], str], ...] = (
    (
        "1(a)",
        text("Intended purpose, provider, version and its relation to earlier versions"),
        {Fact.PURPOSE: text("Purpose"), Fact.HISTORY: text("Versions of the model")},
        text("The name of the provider."),
    ),
    (
        "1(b)",
        text("Interaction with hardware, software and other AI systems"),
        {},
        text("How the model is connected to other systems."),
    ),
    (
        "1(c)",
        text("Versions of software and requirements for updates"),
        {Fact.ENVIRONMENT: text("Environment")},
        text("Firmware, if any."),
    ),
    (
        "1(d)",
        text("Forms in which the system is put into service"),
        {},
        text("Packages, downloads or interfaces offered."),
    ),
    ("1(e)", text("Hardware on which the system is intended to run"), {}, text("The hardware.")),
    (
        "1(f)",
        text("Pictures of the product that contains the system"),
        {},
        text("Pictures and markings, if it is part of a product."),
    ),
    ("1(g)", text("User interface provided to the deployer"), {}, text("A description of the interface.")),
    ("1(h)", text("Instructions for use"), {}, text("The instructions.")),
    (
        "2(a)",
        text("Methods and steps of development, third-party tools"),
        {Fact.CODE: text("Code"), Fact.PARAMS: text("Training"), Fact.ENVIRONMENT: text("Environment")},
        text("Pre-trained components, if any."),
    ),
    (
        "2(b)",
        text("Design: logic, choices, assumptions and optimisation target"),
        {Fact.PARAMS: text("Training")},
        text("The rationale of the design, assumptions about persons, trade-offs."),
    ),
    (
        "2(c)",
        text("Architecture and computing resources used"),
        {Fact.SIGNATURE: text("Inputs and outputs")},
        text("Computing resources."),
    ),
    (
        "2(d)",
        text("Data: origin, scope, selection, labelling and cleaning"),
        {Fact.DATA: text("Data"), Fact.DATA_READABLE: text("Data")},
        text("How the data was obtained, selected and labelled before ingest."),
    ),
    ("2(e)", text("Human oversight measures"), {Fact.DECISIONS: text("Decisions")}, text("Oversight in use.")),
    ("2(f)", text("Changes determined in advance"), {Fact.GATES: text("Gates")}, text("Changes planned in advance.")),
    (
        "2(g)",
        text("Validation and testing: data, metrics, reports with date and signature"),
        {Fact.METRICS: text("KPIs"), Fact.GATES: text("Gates"), Fact.DECISIONS: text("Decisions")},
        text("Robustness and discriminatory impact, if not measured as KPIs."),
    ),
    ("2(h)", text("Cybersecurity measures"), {}, text("The measures.")),
    (
        "3",
        text("Monitoring, functioning and control; accuracy and its limits; input data"),
        {Fact.METRICS: text("KPIs"), Fact.PREDICTIONS: text("Predictions"), Fact.SIGNATURE: text("Inputs and outputs")},
        text("Accuracy for specific groups, foreseeable unintended outcomes, oversight in use."),
    ),
    (
        "4",
        text("Appropriateness of the performance metrics"),
        {Fact.METRICS: text("KPIs")},
        text("Why the metrics fit the purpose."),
    ),
    ("5", text("Risk management system (Article 9)"), {}, text("The risk management system.")),
    (
        "6",
        text("Changes through the lifecycle"),
        {Fact.DECISIONS: text("Decisions"), Fact.HISTORY: text("Versions of the model")},
        text("Changes outside the model, for example to the surrounding system."),
    ),
    ("7", text("Harmonised standards applied"), {}, text("A list of standards or other solutions.")),
    ("8", text("EU declaration of conformity (Article 47)"), {}, text("A copy of the declaration.")),
    ("9", text("Post-market monitoring (Article 72)"), {}, text("The monitoring system and plan.")),
)


def coverage(recorded: frozenset[Fact]) -> tuple[Point, ...]:
    """Return every point of the annex, in its order."""
    return tuple(
        _point(number, requirement, sections, missing, recorded) for number, requirement, sections, missing in _POINTS
    )


def _point(
    number: str, requirement: str, sections: Mapping[Fact, str], missing: str, recorded: frozenset[Fact]
) -> Point:
    covered = [section for fact, section in sections.items() if fact in recorded]
    absent = [_FACT_WORDS[fact] for fact in sections if fact not in recorded]
    if absent:
        missing = text("Not recorded for this version: {facts}. {missing}", facts=listed(absent), missing=missing)
    return Point(
        number=number,
        asks=requirement,
        cover=Cover.PARTLY if covered else Cover.MISSING,
        where=listed(list(dict.fromkeys(covered))) or text("not in this dossier"),
        missing=missing,
    )
