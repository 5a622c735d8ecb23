"""The sections of a dossier about decisions: gates, requests, predictions, findings, events, and Annex IV."""

from __future__ import annotations

from core.entities import GateCheck, GateResult, PromotionRequest, RequestKind
from core.features.evidence.annex_iv import COVER_WORDS, Point
from core.features.evidence.collect import ModelEvidence
from core.features.evidence.section import Section, make_section, plain, recorded, recorded_value
from core.features.evidence.words import kind_word, word
from core.features.monitoring.findings import BY_HAND
from core.texts import text


def gates(evidence: ModelEvidence) -> Section:
    requests = [request for request in evidence.requests if request.version == evidence.key.version]
    return make_section(
        text("Gates"),
        header=(
            text("Request"),
            text("Evaluated"),
            text("Compared with"),
            text("Gate"),
            text("Passed"),
            text("Detail"),
        ),
        rows=[row for request in requests for row in _gate_rows(request)],
        empty=text("No gate was evaluated: no stage was requested for this version."),
    )


def _gate_rows(request: PromotionRequest) -> list[tuple[object, ...]]:
    """The gates at the request, then at the decision; a rollback is both at once."""
    rows: list[tuple[object, ...]] = []
    if request.kind is RequestKind.PROMOTION or request.at_decision is None:
        evaluated = text("at the request, {time}", time=plain(request.at_request.at))
        rows += [(request.id, evaluated, *row) for row in _check_rows(request.at_request)]
    if request.at_decision is not None:
        evaluated = text("at the decision, {time}", time=plain(request.at_decision.at))
        rows += [(request.id, evaluated, *row) for row in _check_rows(request.at_decision)]
    return rows


def _check_rows(check: GateCheck) -> list[tuple[str, ...]]:
    if check.gates is None:
        return [(text("not kept"), "", "", text("An earlier version of ModelLedger replaced these gates."))]
    if check.problem is not None:
        return [("", "", text("NO"), text("not evaluated: {problem}", problem=recorded(check.problem)))]
    compared_with = _compared_with(check)
    return [(compared_with, recorded(gate.name), _passed(gate), recorded(gate.detail)) for gate in check.gates]


def _compared_with(check: GateCheck) -> str:
    if check.evidence is None:
        return text("not kept")
    if check.compared_with is None:
        return text("no version")
    if check.is_rival_in_production:
        return check.compared_with
    return text("{version} (last in Production)", version=check.compared_with)


def _passed(gate: GateResult) -> str:
    return text("yes") if gate.passed else text("NO")


def decisions(evidence: ModelEvidence) -> Section:
    accepted = evidence.acceptance
    found = (
        []
        if accepted is None
        else [
            text(
                "The version was there before ModelLedger. {actor} accepted the state as found on {time}, stage "
                "{stage}: {reason}",
                actor=plain(accepted.actor),
                time=plain(accepted.time),
                stage=word(accepted.stages[evidence.key.version]),
                reason=plain(accepted.reason),
            )
        ]
    )
    return make_section(
        text("Decisions"),
        *found,
        header=(text("Request"), text("Change"), text("Status"), text("Requested by"), text("Decided by")),
        rows=[
            (
                request.id,
                text(
                    "{kind} of {version} to {stage}",
                    kind=word(request.kind),
                    version=str(request.key),
                    stage=word(request.to),
                ),
                word(request.status),
                f"{request.requested_by}, {plain(request.requested_at)}: {request.request_reason}",
                _decided(request),
            )
            for request in evidence.requests
        ],
        empty=text("No stage was ever requested."),
    )


def _decided(request: PromotionRequest) -> str:
    if request.decided_by:
        return f"{request.decided_by}, {plain(request.decided_at)}: {request.reason}"
    return recorded(request.reason) if request.reason else text("not decided")


def predictions(evidence: ModelEvidence) -> Section:
    return make_section(
        text("Predictions"),
        header=(text("Batch"), text("Data"), text("Written to"), text("Rows"), text("Time"), text("Actor")),
        rows=[(b.batch_id, b.source, b.into, b.rows, b.time, b.actor) for b in evidence.batches],
        empty=text("No prediction of this version is recorded."),
    )


def findings(evidence: ModelEvidence) -> Section:
    rows: list[tuple[object, ...]] = [
        (
            kind_word(f.kind),
            f.subject,
            word(f.severity),
            f"{f.owner}, {f.due:%Y-%m-%d}",
            recorded_value(f.expected),
            recorded_value(f.found),
            f.detail if f.kind == BY_HAND else recorded(f.detail),
        )
        for f in evidence.findings
    ]
    rows += [
        (
            kind_word(d.kind),
            d.subject,
            text("not assessed"),
            text("not assigned"),
            recorded_value(d.expected),
            recorded_value(d.found),
            recorded(d.detail),
        )
        for d in evidence.differences
    ]
    return make_section(
        text("Open findings"),
        header=(
            text("Kind"),
            text("Subject"),
            text("Severity"),
            text("Owner and due date"),
            text("Expected"),
            text("Found"),
            text("Detail"),
        ),
        rows=rows,
        empty=text("None. Registry and decisions agree about this version, and no finding about it is open."),
    )


def events(evidence: ModelEvidence) -> Section:
    return make_section(
        text("Audit log"),
        text("Each row is one event of the audit log. The evidence bundle holds the events with their proofs."),
        header=(
            text("No."),
            text("Time"),
            text("Actor"),
            text("Action"),
            text("Subject"),
            text("Outcome"),
            text("Reason"),
        ),
        rows=[
            (e.sequence, e.time, f"{e.actor} ({e.role})", e.action, e.subject, word(e.outcome), e.reason)
            for e in evidence.events
        ],
    )


def annex(points: tuple[Point, ...]) -> Section:
    return make_section(
        text("Coverage of Annex IV of the EU AI Act"),
        text(
            "This table shows which technical documentation required by Annex IV of Regulation (EU) 2024/1689 the "
            "dossier contains. No point is complete: the last column names what the provider must add."
        ),
        header=(text("Point"), text("Required"), text("Coverage"), text("Section"), text("To be added")),
        rows=[(p.number, p.asks, COVER_WORDS[p.cover], p.where, p.missing) for p in points],
    )
