"""The first section of a dossier: the facts about a model version as sentences, and what is missing as a list."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from core.entities import PromotionRequest, RequestKind, RequestStatus, Stage
from core.features.evidence.collect import DataEvidence, ModelEvidence, decisive_request
from core.features.evidence.section import Section, make_section, plain, recorded
from core.features.evidence.summary.comparison import comparison
from core.features.evidence.summary.gaps import gaps
from core.features.evidence.words import word
from core.learning.kpis import CLASSIFICATION_METRICS, REGRESSION_METRICS
from core.texts import joined, plural, text

_LONGEST_PURPOSE = 400


def in_words(evidence: ModelEvidence) -> tuple[Section, Section]:
    """Return the summary and the list of what is missing. They say only what the facts say."""
    missing = list(gaps(evidence))
    return (
        make_section(
            text("Summary"),
            *(
                joined(sentences)
                for sentences in (
                    list(_model(evidence)),
                    list(_data(evidence)),
                    list(_decision(evidence)),
                    list(comparison(evidence)),
                    list(_production(evidence)),
                )
            ),
            is_annex=False,
        ),
        make_section(
            text("What is missing"),
            *(
                []
                if missing
                else [text("These checks found no gap: approval, gates, comparison, data, code, findings.")]
            ),
            points=missing,
            is_annex=False,
        ),
    )


# ---- the model --------------------------------------------------------------------------------------------------


def _model(evidence: ModelEvidence) -> Iterator[str]:
    values = {"version": str(evidence.key), "time": plain(evidence.view.version.created)}
    match _task(evidence):
        case "classification":
            yield text("{version} is a classification model, registered on {time}.", **values)
        case "regression":
            yield text("{version} is a regression model, registered on {time}.", **values)
        case _:
            yield text("{version} is a model whose task is not recorded, registered on {time}.", **values)
    run = evidence.view.run
    if run is None:
        yield recorded(evidence.view.run_problem) if evidence.view.run_problem else text("No run is recorded.")
    elif estimator := run.params.get("estimator"):
        yield text("{user} trained it with {estimator}.", user=plain(run.user), estimator=plain(estimator))
    else:
        yield text("{user} trained it; the kind of model is not recorded.", user=plain(run.user))
    purpose = (evidence.registered.description if evidence.registered else "") or evidence.view.version.description
    if purpose:
        shown = purpose if len(purpose) <= _LONGEST_PURPOSE else f"{purpose[:_LONGEST_PURPOSE]}…"
        yield text("Its purpose, as described: “{purpose}”.", purpose=plain(shown).rstrip("."))


def _task(evidence: ModelEvidence) -> str | None:
    """The task from the tag of the training, else from the logged KPIs."""
    run, version = evidence.view.run, evidence.view.version
    tag = version.tags.get("task") or (run.tags.get("task") if run else None)
    if tag is not None:
        return tag
    if any(name in CLASSIFICATION_METRICS for name in evidence.view.metrics):
        return "classification"
    return "regression" if any(name in REGRESSION_METRICS for name in evidence.view.metrics) else None


# ---- the data ---------------------------------------------------------------------------------------------------


def _data(evidence: ModelEvidence) -> Iterator[str]:
    training = evidence.training_data
    if not training:
        yield text("No data version is recorded, so the training data is unknown.")
        return
    for item in training:
        yield _trained_on(item, evidence.view.metrics if len(training) == 1 else {})
        yield _readable(item)
        yield _same_rows(item)


def _rows(item: DataEvidence) -> int | None:
    return item.rows if item.rows is not None else item.snapshot.rows if item.snapshot else None


def _trained_on(item: DataEvidence, metrics: Mapping[str, float]) -> str:
    rows, train, test = _rows(item), metrics.get("TrainRows"), metrics.get("TestRows")
    data = plain(item.data)
    if rows is None:
        return text("It was trained on {data}, whose number of rows is not known now.", data=data)
    if train is None or test is None or not math.isfinite(train + test):
        return plural("It was trained on {data}, which has {n} row.", "It was trained on {data}, which has {n} rows.",
                      rows, data=data)  # fmt: skip
    return plural(
        "It was trained on {data}, which has {n} row: {train} for training and {test} for testing.",
        "It was trained on {data}, which has {n} rows: {train} for training and {test} for testing.",
        rows,
        data=data,
        train=int(train),
        test=int(test),
    )


def _readable(item: DataEvidence) -> str:
    if item.recomputed is not None:
        return text("All rows were read when this dossier was made; the audit log has the time of the export.")
    return text(
        "The rows could not be read when this dossier was made ({reason}).",
        reason=recorded(item.problem) if item.problem else item.verdict,
    )


def _same_rows(item: DataEvidence) -> str:
    if item.identity is not None and item.identity.is_contradicted:
        return text("These are NOT the data of the training: the annex says why.")
    if item.recorded is None:
        return text("The training recorded no SHA-256 of the rows, so it is not proven that they are the same rows.")
    if item.recomputed is None:
        return text("The training recorded their SHA-256, which cannot be checked now.")
    if item.recomputed == item.recorded:
        return text("Their SHA-256 is the one that the training recorded, so they are the rows of the training.")
    return text("Their SHA-256 is NOT the one that the training recorded: they are other rows.")


# ---- the decision -----------------------------------------------------------------------------------------------


def _decision(evidence: ModelEvidence) -> Iterator[str]:
    accepted = evidence.acceptance
    if accepted is not None:
        yield text(
            "The version was there before ModelLedger: {actor} accepted it as found, in the stage {stage}, on {time} "
            "(“{reason}”).",
            actor=plain(accepted.actor),
            stage=word(accepted.stages[evidence.key.version]),
            time=plain(accepted.time),
            reason=plain(accepted.reason),
        )
    request = decisive_request(evidence)
    if request is None:
        yield text("Nobody has requested a stage for this version, and nobody has approved it.")
        return
    yield text(
        "{person} requested the stage {stage} on {time} (“{reason}”).",
        person=plain(request.requested_by),
        stage=word(request.to),
        time=plain(request.requested_at),
        reason=plain(request.request_reason),
    )
    values = {
        "person": plain(request.decided_by),
        "time": plain(request.decided_at),
        "reason": plain(request.reason or ""),
    }
    match request.status:
        case RequestStatus.APPROVED:
            yield text("{person} approved the request on {time} (“{reason}”).", **values)
        case RequestStatus.REJECTED:
            yield text("{person} rejected the request on {time} (“{reason}”).", **values)
        case RequestStatus.EXPIRED:
            yield text("The request expired without a decision: {reason}.", reason=_machine_reason(request))
        case RequestStatus.OPEN:
            yield text("The request is open: nobody has decided on it.")
        case RequestStatus.UNFINISHED:
            yield text("The approval by {person} on {time} is unfinished: its effect is not certain.",
                       person=values["person"], time=values["time"])  # fmt: skip
    yield from _gates(request)


def _machine_reason(request: PromotionRequest) -> str:
    return recorded((request.reason or "").rstrip(".")) if request.reason else text("no reason is recorded")


def _gates(request: PromotionRequest) -> Iterator[str]:
    check = request.at_decision or request.at_request
    if check.gates is None:
        yield text("The gates of the request were not kept.")
    elif check.problem is not None:
        yield text("The gates could not be evaluated: {problem}", problem=recorded(check.problem))
    elif not check.gates:
        yield text("No gate was set for this stage.")
    else:
        passed = sum(gate.passed for gate in check.gates)
        values = {"passed": passed, "time": plain(check.at)}
        yield (
            plural(
                "At the decision, {passed} of {n} gate passed ({time}).",
                "At the decision, {passed} of {n} gates passed ({time}).",
                len(check.gates),
                **values,
            )
            if request.at_decision is not None
            else plural(
                "At the request, {passed} of {n} gate passed ({time}).",
                "At the request, {passed} of {n} gates passed ({time}).",
                len(check.gates),
                **values,
            )
        )


# ---- Production -------------------------------------------------------------------------------------------------


def _production(evidence: ModelEvidence) -> Iterator[str]:
    number_ = str(evidence.key.version)
    since: datetime | None = None
    is_said = False
    accepted = evidence.acceptance
    if accepted is not None and accepted.stages[evidence.key.version] is Stage.PRODUCTION:
        since = accepted.time
    for request in _effective(evidence):
        stage = request.stages.get(number_)
        if stage == Stage.PRODUCTION.value and since is None:
            since = request.decided_at
        elif stage is not None and stage != Stage.PRODUCTION.value and since is not None:
            yield _until(request, since)
            since, is_said = None, True
    stage = evidence.view.version.stage
    if since is not None and stage is Stage.PRODUCTION:
        yield text("It has been in Production since {since}.", since=plain(since))
    elif since is not None:
        yield text(
            "By the decisions it has been in Production since {since}, but the registry shows the stage {stage}.",
            since=plain(since),
            stage=word(stage),
        )
    elif stage is Stage.PRODUCTION:
        yield text("The registry shows it in Production, but no decision put it there.")
    elif is_said:
        yield text("It is not in Production now.")
    else:
        yield text("It was never in Production, as far as the decisions say.")


def _effective(evidence: ModelEvidence) -> list[PromotionRequest]:
    decided = [r for r in evidence.requests if r.status is RequestStatus.APPROVED and r.decided_at is not None]
    return sorted(decided, key=lambda request: request.decided_at or request.requested_at)


def _until(request: PromotionRequest, since: datetime) -> str:
    values = {"since": plain(since), "until": plain(request.decided_at)}
    if request.kind is RequestKind.ROLLBACK:
        return text(
            "It was in Production from {since} until {until}, when {person} rolled back to {version} (“{reason}”).",
            person=plain(request.decided_by or request.requested_by),
            version=str(request.key),
            reason=plain(request.reason or request.request_reason),
            **values,
        )
    if request.to is Stage.PRODUCTION:
        return text(
            "It was in Production from {since} until {until}, when {version} replaced it.",
            version=str(request.key),
            **values,
        )
    return text(
        "It was in Production from {since} until {until}, when it was moved to the stage {stage}.",
        stage=word(request.to),
        **values,
    )
