"""Sections of a dossier, one function each: pure, from what was gathered. What is not known is said to be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.entities import Outcome, PromotionRequest
from core.escaping import visible
from core.features.evidence.annex_iv import Point
from core.features.evidence.collect import DataEvidence, ModelEvidence, compare_kpis, replaced_version

_MOST_ROWS = 500
_CODE = {
    "mlflow.source.git.commit": "Git commit",
    "mlflow.source.git.repoURL": "Repository",
    "mlflow.source.git.branch": "Branch",
    "modelledger.source.git.dirty": "Changed since that commit",
    "mlflow.source.name": "Source",
}
_FACTS = ("Fact", "Value")


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading, sentences, and a table. Every text is inert: no control or bidi character is left in it."""

    title: str
    paragraphs: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def plain(value: object) -> str:
    """*value* as text in which nothing acts: control, format and bidi characters are shown by their number."""
    if value is None:
        return "not recorded"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else str(value)
    text = re.sub(r"\s*\n\s*", " ", str(value))
    return visible(text)


def _section(
    title: str,
    *paragraphs: str,
    header: tuple[str, ...] = (),
    rows: Iterable[tuple[object, ...]] = (),
    empty: str = "",
) -> Section:
    """A section whose every text is inert; *empty* is said where there are no rows."""
    cells = [tuple(plain(cell) for cell in row) for row in rows]
    texts = [plain(text) for text in paragraphs]
    if header and not cells:
        return Section(title=title, paragraphs=(*texts, plain(empty or "Nothing is recorded.")))
    if len(cells) > _MOST_ROWS:
        texts.append(f"{len(cells)} lines; the newest {_MOST_ROWS} are shown here.")
    return Section(title=title, paragraphs=tuple(texts), header=header, rows=tuple(cells[-_MOST_ROWS:]))


def summary(material: ModelEvidence) -> Section:
    version, run = material.view.version, material.view.run
    return _section(
        "Summary",
        *material.problems,
        header=_FACTS,
        rows=[
            ("Model", version.model),
            ("Version", version.version),
            ("Stage in the registry", version.stage.value),
            ("Registered", version.created),
            ("Run", version.run_id),
            ("Made by", run.user if run else None),
            ("Trained on", ", ".join(str(one.key) for one in material.data) or None),
        ],
    )


def purpose(material: ModelEvidence) -> Section:
    told = [material.registered.description if material.registered else "", material.view.version.description]
    return _section(
        "Purpose", *([text for text in told if text] or ["No purpose is recorded: the model has no description."])
    )


def data(material: ModelEvidence) -> tuple[Section, ...]:
    if not material.data:
        return (_section("Data", "Missing: no data version is recorded, so nobody can say what it was trained on."),)
    return tuple(section for one in material.data for section in (_data_facts(one), _schema(one)))


def _data_facts(one: DataEvidence) -> Section:
    commit, snapshot = one.commit, one.snapshot
    match one.recorded, one.recomputed:
        case None, _:
            agreement = "no hash was recorded at training"
        case _, None:
            agreement = "the rows cannot be read, so the recorded hash cannot be checked"
        case then, now:
            agreement = (
                "the rows are those that were trained on" if then == now else "THE ROWS ARE NOT THOSE TRAINED ON"
            )
    return _section(
        f"Data: {plain(one.key)}",
        *([one.problem] if one.problem else []),
        *one.findings,
        header=_FACTS,
        rows=[
            ("Known from", one.source_of_truth),
            ("Readable", one.verdict),
            ("Rows", one.rows if one.rows is not None else (snapshot.rows if snapshot else None)),
            ("Table id", snapshot.table_id if snapshot else None),
            ("SHA-256 of the rows, at training", one.recorded),
            ("SHA-256 of the rows, now", one.recomputed),
            ("Verdict", agreement),
            ("Commit", f"version {commit.version}, {commit.operation}" if commit else None),
            ("Committed", commit.timestamp if commit else None),
            ("By, as the writer claims", commit.user if commit else None),
            ("Writer, as it claims", commit.engine if commit else None),
            ("Rows added by it", commit.rows_added if commit else None),
            *(
                (f"Claim: {name}", canonical(value))
                for name, value in sorted((commit.metadata if commit else {}).items())
            ),
        ],
    )


def _schema(one: DataEvidence) -> Section:
    fields = one.snapshot.schema if one.snapshot else ()
    return _section(
        f"Schema of {plain(one.key)}",
        header=("Column", "Type", "May be empty"),
        rows=[(field.name, field.type, "yes" if field.nullable else "no") for field in fields],
        empty="The schema cannot be read any more.",
    )


def code(material: ModelEvidence) -> Section:
    tags = material.view.run.tags if material.view.run else {}
    rows = [(word, tags[tag]) for tag, word in _CODE.items() if tags.get(tag)]
    notes = [] if tags.get("mlflow.source.git.commit") else ["Missing: the run names no git commit."]
    return _section("Code", *notes, header=_FACTS, rows=rows, empty="Nothing about the code is recorded.")


def environment(material: ModelEvidence) -> Section:
    info = material.view.info
    rows: list[tuple[object, ...]] = [
        ("made with", f"{name} {value}") for name, value in (info.made_with if info else {}).items()
    ]
    rows += [("requires", line) for line in (info.requirements if info else ())]
    problem = [material.view.info_problem] if material.view.info_problem else []
    return _section(
        "Environment", *problem, header=("How", "What"), rows=rows, empty="Missing: the artifact lists no requirements."
    )


def training(material: ModelEvidence) -> Section:
    run = material.view.run
    rows: list[tuple[object, ...]] = []
    if run is not None:
        rows = [("run", run.run_id), ("status", run.status.value), ("started", run.started), ("ended", run.ended)]
        rows += sorted(run.params.items())
    return _section(
        "Training",
        *([material.view.run_problem] if material.view.run_problem else []),
        *material.view.notes,
        header=("Parameter", "Value"),
        rows=rows,
        empty="Missing: the run behind this version cannot be read.",
    )


def signature(material: ModelEvidence) -> Section:
    info = material.view.info
    rows: list[tuple[object, ...]] = []
    if info is not None:
        rows = [("input", c.name, c.type, "yes" if c.required else "no") for c in info.inputs]
        rows += [("output", c.name, c.type, "") for c in info.outputs]
    notes = [f"Saved as {info.format}: {info.why}"] if info else []
    return _section(
        "Inputs and outputs",
        *notes,
        header=("Kind", "Name", "Type", "Required"),
        rows=rows,
        empty="Missing: the artifact has no signature.",
    )


def kpis(material: ModelEvidence) -> Section:
    rival, _ = replaced_version(material)
    against = (
        f"Compared with {rival}, which was in Production then." if rival else "Nothing was in Production to replace."
    )
    late = [
        f"{name} was changed at {plain(time)}, after its run had ended."
        for name, time in material.view.late_metrics.items()
    ]
    return _section(
        "KPIs",
        against,
        *late,
        header=("KPI", "This version", "Production then", "Verdict"),
        rows=[
            (name, value, "–" if other is None else other, word) for name, value, other, word in compare_kpis(material)
        ],
        empty="Missing: the run logged no KPIs.",
    )


def gates(material: ModelEvidence) -> Section:
    return _section(
        "Gates",
        header=("Request", "Gate", "Passed", "What it saw"),
        rows=[
            (r.id, gate.name, "yes" if gate.passed else "NO", gate.detail) for r in _own(material) for gate in r.gates
        ],
        empty="No gate was asked: nobody requested a stage for this version.",
    )


def decisions(material: ModelEvidence) -> Section:
    return _section(
        "Decisions",
        header=("Request", "What", "Status", "Asked by, when, why", "Decided by, when, why"),
        rows=[
            (
                r.id,
                f"{r.kind.value} of {r.key} to {r.to.value}",
                r.status.value,
                f"{r.requested_by}, {plain(r.requested_at)}: {r.request_reason}",
                f"{r.decided_by}, {plain(r.decided_at)}: {r.reason}" if r.decided_by else (r.reason or "nobody yet"),
            )
            for r in material.requests
        ],
        empty="No decision was ever asked for.",
    )


def _own(material: ModelEvidence) -> list[PromotionRequest]:
    return [r for r in material.requests if r.version == material.key.version]


def predictions(material: ModelEvidence) -> Section:
    return _section(
        "Predictions",
        header=("Batch", "Read", "Wrote", "Rows", "When", "By"),
        rows=[(b.batch_id, b.source, b.into, b.rows, b.time, b.actor) for b in material.batches],
        empty="No prediction of this version is recorded.",
    )


def findings(material: ModelEvidence) -> Section:
    rows: list[tuple[object, ...]] = [
        (f.kind, f.subject, f.severity.value, f"{f.owner}, {f.due:%Y-%m-%d}", f.expected, f.found, f.detail)
        for f in material.findings
    ]
    rows += [
        (d.kind, d.subject, "not judged yet", "nobody yet", d.expected, d.found, d.detail) for d in material.differences
    ]
    return _section(
        "Open findings",
        header=("Kind", "Subject", "Severity", "Owner and due date", "Expected", "Found", "Detail"),
        rows=rows,
        empty="None: registry and decisions agree about this version, and nobody has opened one.",
    )


def reproductions(material: ModelEvidence) -> Section:
    events = [e for e in material.events if e.action == Action.MODEL_REPRODUCE.value and e.outcome is Outcome.SUCCESS]
    return _section(
        "Made again",
        header=("When", "By", "Verdict", "Why"),
        rows=[(e.time, e.actor, str(e.after.get("verdict")).replace("_", " "), e.after.get("why")) for e in events],
        empty="Nobody has trained this version again to see whether it comes out the same.",
    )


def versions(material: ModelEvidence) -> Section:
    return _section(
        "Versions of the model",
        header=("Version", "Stage", "Registered", "Trained on", "Problem"),
        rows=[
            (v.version, v.stage.value, v.created, ", ".join(map(str, v.data)) or None, v.problem or "none")
            for v in reversed(material.model.versions)
        ],
    )


def files(material: ModelEvidence) -> Section:
    return _section(
        "Files of the artifact",
        header=("File", "Bytes"),
        rows=[(f.path, f.size_bytes) for f in material.view.artifacts if not f.is_folder],
        empty="Missing: the artifact cannot be listed.",
    )


def events(material: ModelEvidence) -> Section:
    return _section(
        "Audit log",
        "Each line is one event of the hash-chained log; the evidence bundle holds them with their proofs.",
        header=("No.", "When", "Who", "Did", "To", "Outcome", "Why"),
        rows=[
            (e.sequence, e.time, f"{e.actor} ({e.role})", e.action, e.subject, e.outcome.value, e.reason)
            for e in material.events
        ],
    )


def annex(points: tuple[Point, ...]) -> Section:
    return _section(
        "Coverage of Annex IV of the EU AI Act",
        "What this dossier answers of the technical documentation that Annex IV of Regulation (EU) 2024/1689 asks for. "
        "No point is called complete: the last column says what a provider has to write elsewhere.",
        header=("Point", "Asks for", "Here", "Where", "Missing here"),
        rows=[(p.number, p.asks, p.cover.value, p.where, p.missing) for p in points],
    )
