"""The sections of a dossier about the model: purpose, data, code, training, KPIs, artifact. Missing facts are named."""

from __future__ import annotations

from core.access.permissions import Action
from core.audit.canonical_json import canonical
from core.entities import DataUse, Fact, GateCheck, IdentityVerdict, Outcome
from core.features.evidence.collect import DataEvidence, ModelEvidence, compare_kpis, compared
from core.features.evidence.section import Section, make_section, plain, recorded
from core.features.evidence.words import word
from core.texts import text

_FACTS = (text("Fact"), text("Value"))
_IDENTITY = {
    IdentityVerdict.TRAINING_DATA: text("yes"),
    IdentityVerdict.SAME_ROWS: text("another table with the same rows"),
    IdentityVerdict.UNPROVEN: text("not proven: the training recorded only name and version"),
    IdentityVerdict.UNCLEAR: text("unclear"),
    IdentityVerdict.ANOTHER_TABLE: text("NO: ANOTHER TABLE HAS THIS NAME NOW"),
    IdentityVerdict.OTHER_ROWS: text("NO: OTHER ROWS THAN THOSE OF THE TRAINING"),
}
_CODE_TAGS = {
    "mlflow.source.git.commit": text("Git commit"),
    "mlflow.source.git.repoURL": text("Repository"),
    "mlflow.source.git.branch": text("Branch"),
    "modelledger.source.git.dirty": text("Changed since that commit"),
    "mlflow.source.name": text("Source"),
}


def summary(evidence: ModelEvidence) -> Section:
    version, run = evidence.view.version, evidence.view.run
    return make_section(
        text("Identification"),
        *map(recorded, evidence.problems),
        header=_FACTS,
        rows=[
            (text("Model"), version.model),
            (text("Version"), version.version),
            (text("Stage in the registry"), word(version.stage)),
            (text("Registered"), version.created),
            (text("Run"), version.run_id),
            (text("Trained by"), run.user if run else None),
            (text("Trained on"), ", ".join(item.data for item in evidence.training_data) or None),
        ],
    )


def purpose(evidence: ModelEvidence) -> Section:
    descriptions = [
        evidence.registered.description if evidence.registered else "",
        evidence.view.version.description,
    ]
    paragraphs = [description for description in descriptions if description]
    return make_section(
        text("Purpose"), *(paragraphs or [text("No purpose is recorded: the model has no description.")])
    )


def data(evidence: ModelEvidence) -> tuple[Section, ...]:
    if not evidence.data:
        missing = text("Missing: no data version is recorded, so the training data is unknown.")
        return (make_section(text("Data"), missing),)
    return tuple(section for item in evidence.data for section in (_data_facts(item), _schema(item)))


def _data_facts(item: DataEvidence) -> Section:
    commit, snapshot = item.commit, item.snapshot
    match item.recorded, item.recomputed:
        case None, _:
            comparison = text("no hash was recorded at training")
        case _, None:
            comparison = text("the rows are not readable, so the recorded hash cannot be checked")
        case at_training, now:
            comparison = (
                text("the rows are those of the training")
                if at_training == now
                else text("THE ROWS ARE NOT THOSE OF THE TRAINING")
            )
    return make_section(
        text("Data: {data}", data=plain(item.data)),
        *([recorded(item.problem)] if item.problem else []),
        *map(recorded, item.findings),
        *map(recorded, item.identity.contradictions if item.identity else ()),
        *map(recorded, item.identity.notes if item.identity else ()),
        header=_FACTS,
        rows=[
            (text("Source of this claim"), item.source_of_truth),
            (text("Use"), word(DataUse(item.use))),
            (text("Readable"), item.verdict),
            (text("Rows"), item.rows if item.rows is not None else (snapshot.rows if snapshot else None)),
            *_identity_facts(item),
            (text("Table id, now"), snapshot.table_id if snapshot else None),
            (text("SHA-256 of the rows, at training"), item.recorded),
            (text("SHA-256 of the rows, now"), item.recomputed),
            (text("Verdict"), comparison),
            (
                text("Commit"),
                text("version {version}, {operation}", version=commit.version, operation=commit.operation)
                if commit
                else None,
            ),
            (text("Committed"), commit.timestamp if commit else None),
            (text("Committed by, as the writer claims"), commit.user if commit else None),
            (text("Writer, as it claims"), commit.engine if commit else None),
            (text("Rows added by this commit"), commit.rows_added if commit else None),
            *(
                (text("Claim: {name}", name=name), canonical(value))
                for name, value in sorted((commit.metadata if commit else {}).items())
            ),
        ],
    )


def _identity_facts(item: DataEvidence) -> list[tuple[object, ...]]:
    if item.identity is None:
        return []
    at_training = {comparison.fact: comparison.recorded for comparison in item.identity.comparisons}
    return [
        (text("Is it the training data?"), _IDENTITY[item.identity.verdict]),
        (text("Table id, at training"), at_training.get(Fact.TABLE_ID)),
        (text("Committed, as the training requires"), at_training.get(Fact.COMMIT_TIME)),
        (text("Training and test rows, as counted by the run"), at_training.get(Fact.ROWS)),
    ]


def _schema(item: DataEvidence) -> Section:
    fields = item.snapshot.schema if item.snapshot else ()
    return make_section(
        text("Schema of {data}", data=plain(item.data)),
        header=(text("Column"), text("Type"), text("May be empty")),
        rows=[(field.name, field.type, text("yes") if field.nullable else text("no")) for field in fields],
        empty=text("The schema is not readable."),
    )


def code(evidence: ModelEvidence) -> Section:
    tags = evidence.view.run.tags if evidence.view.run else {}
    rows = [(label, tags[tag]) for tag, label in _CODE_TAGS.items() if tags.get(tag)]
    notes = [] if tags.get("mlflow.source.git.commit") else [text("Missing: the run records no Git commit.")]
    return make_section(
        text("Code"), *notes, header=_FACTS, rows=rows, empty=text("Nothing is recorded about the code.")
    )


def environment(evidence: ModelEvidence) -> Section:
    info = evidence.view.info
    rows: list[tuple[object, ...]] = [
        (text("made with"), f"{name} {value}") for name, value in (info.made_with if info else {}).items()
    ]
    rows += [(text("requires"), line) for line in (info.requirements if info else ())]
    problem = [recorded(evidence.view.info_problem)] if evidence.view.info_problem else []
    return make_section(
        text("Environment"),
        *problem,
        header=(text("Relation"), text("Software")),
        rows=rows,
        empty=text("Missing: the artifact lists no requirements."),
    )


def training(evidence: ModelEvidence) -> Section:
    run = evidence.view.run
    rows: list[tuple[object, ...]] = []
    if run is not None:
        rows = [
            (text("run"), run.run_id),
            (text("status"), word(run.status)),
            (text("started"), run.started),
            (text("ended"), run.ended),
        ]
        rows += sorted(run.params.items())
    return make_section(
        text("Training"),
        *([recorded(evidence.view.run_problem)] if evidence.view.run_problem else []),
        *map(recorded, evidence.view.notes),
        header=(text("Parameter"), text("Value")),
        rows=rows,
        empty=text("Missing: the run of this version is not readable."),
    )


def signature(evidence: ModelEvidence) -> Section:
    info = evidence.view.info
    rows: list[tuple[object, ...]] = []
    if info is not None:
        rows = [(text("input"), c.name, c.type, text("yes") if c.required else text("no")) for c in info.inputs]
        rows += [(text("output"), c.name, c.type, "") for c in info.outputs]
    notes = [text("Saved as {format}: {reason}", format=info.format, reason=recorded(info.why))] if info else []
    return make_section(
        text("Inputs and outputs"),
        *notes,
        header=(text("Kind"), text("Name"), text("Type"), text("Required")),
        rows=rows,
        empty=text("Missing: the artifact has no signature."),
    )


def _comparison(check: GateCheck) -> str:
    values = {"version": check.compared_with, "time": plain(check.at)}
    if check.compared_with is None:
        return text(
            "At {time}, when the gates were evaluated, no other version was in Production.", time=plain(check.at)
        )
    if check.is_rival_in_production:
        return text(
            "Compared with {version}, which was in Production at {time}, when the gates were evaluated.", **values
        )
    return text(
        "Compared with {version}, the last version in Production; none was there at {time}, when the gates were "
        "evaluated.",
        **values,
    )


def kpis(evidence: ModelEvidence) -> Section:
    check = compared(evidence)
    comparison = text("No promotion to Production was requested.") if check is None else _comparison(check)
    late = [
        text("{metric} was changed at {time}, after the end of its run.", metric=name, time=plain(time))
        for name, time in evidence.view.late_metrics.items()
    ]
    return make_section(
        text("KPIs"),
        comparison,
        *late,
        header=(text("KPI"), text("This version"), text("Production then"), text("Verdict")),
        rows=[
            (name, value, "–" if other is None else other, verdict)
            for name, value, other, verdict in compare_kpis(evidence)
        ],
        empty=text("Missing: the run logged no KPIs."),
    )


def reproductions(evidence: ModelEvidence) -> Section:
    events = [e for e in evidence.events if e.action == Action.MODEL_REPRODUCE.value and e.outcome is Outcome.SUCCESS]
    return make_section(
        text("Reproductions"),
        header=(text("Time"), text("Actor"), text("Verdict"), text("Detail")),
        rows=[
            (
                e.time,
                e.actor,
                recorded(str(e.after.get("verdict")).replace("_", " ")),
                recorded(str(e.after.get("why") or "")),
            )
            for e in events
        ],
        empty=text("This version was never reproduced."),
    )


def versions(evidence: ModelEvidence) -> Section:
    return make_section(
        text("Versions of the model"),
        header=(text("Version"), text("Stage"), text("Registered"), text("Trained on"), text("Problem")),
        rows=[
            (
                v.version,
                word(v.stage),
                v.created,
                ", ".join(map(str, v.data)) or None,
                recorded(v.problem) if v.problem else text("none"),
            )
            for v in reversed(evidence.model.versions)
        ],
    )


def files(evidence: ModelEvidence) -> Section:
    return make_section(
        text("Files of the artifact"),
        header=(text("File"), text("Bytes")),
        rows=[(f.path, f.size_bytes) for f in evidence.view.artifacts if not f.is_folder],
        empty=text("Missing: the files of the artifact cannot be listed."),
    )
