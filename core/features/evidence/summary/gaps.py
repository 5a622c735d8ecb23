"""What is missing in the evidence about a model version, one sentence a gap."""

from __future__ import annotations

from collections.abc import Iterator

from core.entities import PromotionRequest, RequestStatus, Severity, Stage
from core.features.evidence.collect import DataEvidence, ModelEvidence, compared, decisive_request
from core.features.evidence.section import listed, plain, recorded
from core.features.evidence.summary.comparison import head_to_head
from core.features.evidence.words import kind_word, word
from core.learning.kpis import is_kpi
from core.texts import plural, text


def gaps(evidence: ModelEvidence) -> Iterator[str]:
    """Yield the gaps, the gravest first: approval, gates, run and code, data, KPIs, files, findings."""
    view, run = evidence.view, evidence.view.run
    request = decisive_request(evidence)
    is_approved = request is not None and request.status is RequestStatus.APPROVED
    if not is_approved:
        yield text("No approval: no person has approved this version for a stage.")
    elif request is not None and request.to is not Stage.PRODUCTION:
        yield text("No approval for Production: the approval is for the stage {stage}.", stage=word(request.to))
    if request is not None:
        yield from _gate_gaps(request)
    if run is None:
        yield recorded(view.run_problem) if view.run_problem else text("No run is recorded.")
    elif not run.tags.get("mlflow.source.git.commit"):
        yield text("No commit: the run records no Git commit, so the code is unknown.")
    elif run.tags.get("modelledger.source.git.dirty") == "true":
        yield text("The code was changed after its Git commit, so the commit is not the code of the training.")
    if not evidence.training_data:
        yield text("No training data: no data version is recorded.")
    for item in evidence.training_data:
        yield from _data_gaps(item)
    if not any(map(is_kpi, view.metrics)):
        yield text("No KPI is recorded.")
    for name in view.late_metrics:
        yield text("{metric} was changed after the end of its run.", metric=name)
    check = compared(evidence)
    if check is not None and check.compared_with is not None and head_to_head(evidence) is None:
        yield text(
            "No head-to-head comparison with {rival} on the same rows is recorded.", rival=plain(check.compared_with)
        )
    if view.info_problem:
        yield text("The files of the model could not be read: {problem}", problem=recorded(view.info_problem))
    if not (evidence.registered and evidence.registered.description) and not view.version.description:
        yield text("No purpose: the model has no description.")
    high = [finding for finding in evidence.findings if finding.severity is Severity.HIGH]
    if high:
        yield plural(
            "{n} finding of high severity is open: {kinds}.",
            "{n} findings of high severity are open: {kinds}.",
            len(high),
            kinds=listed([kind_word(kind) for kind in dict.fromkeys(finding.kind for finding in high)]),
        )
    other = len(evidence.findings) - len(high)
    if other:
        yield plural("{n} other finding is open.", "{n} other findings are open.", other)
    if evidence.differences:
        yield plural(
            "{n} difference between registry and decisions has no finding yet.",
            "{n} differences between registry and decisions have no finding yet.",
            len(evidence.differences),
        )
    yield from map(recorded, evidence.problems)


def _gate_gaps(request: PromotionRequest) -> Iterator[str]:
    if request.at_request.gates is None:
        yield text("The gates of the request were not kept: an earlier version of ModelLedger replaced them.")
    is_decided = request.status in (RequestStatus.APPROVED, RequestStatus.REJECTED, RequestStatus.UNFINISHED)
    if is_decided and request.at_decision is None:
        yield text("The gates at the decision were not kept.")
    for gate in (request.at_decision or request.at_request).gates or ():
        if not gate.passed:
            yield text(
                "The gate “{gate}” did not pass: {detail}", gate=recorded(gate.name), detail=recorded(gate.detail)
            )


def _data_gaps(item: DataEvidence) -> Iterator[str]:
    data = plain(item.data)
    if item.key is None:
        yield text("{data} is not a registered table with a known version, so its rows cannot be shown.", data=data)
    elif item.recomputed is None:
        yield text("The rows of {data} are not readable.", data=data)
    if item.identity is not None and item.identity.is_contradicted:
        yield text("{data} is not the data of the training.", data=data)
    elif item.recorded is None:
        yield text("The training recorded no SHA-256 of the rows of {data}.", data=data)
    elif item.recomputed is not None and item.recomputed != item.recorded:
        yield text("The rows of {data} are not those of the training.", data=data)
