"""Messages: the events of the audit log that people hear of, each as one sentence with who, what, why and a link."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from urllib.parse import urlencode

from core.access.permissions import Action, roles_for
from core.audit.row_snapshots import snapshot_row
from core.entities import Event, Outcome, RequestStatus, Role
from core.escaping import line
from core.texts import text

_VERSION = re.compile(r"^(?P<model>.+)/(?P<version>\d+)$", re.DOTALL)
_PART = re.compile(r"^approved, (?P<count>\d+) of (?P<needed>\d+)$")
_LONGEST_REASON = 500
_DECIDES = roles_for(Action.PROMOTION_DECIDE)
_ASKS = roles_for(Action.PROMOTION_REQUEST)


class Kind(str, Enum):
    """What a message is about. The value is the name in settings and payloads."""

    REQUEST = "request"
    DECISION = "decision"
    FINDING = "finding"
    JOB = "job"
    TEST = "test"


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message. *id* is the same whenever the message is sent again. *roles* are asked to act or to take note."""

    id: str
    kind: Kind
    time: datetime
    text: str
    subject: str
    model: str
    actor: str
    reason: str
    roles: tuple[Role, ...]
    page: str
    address: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def link(self, base_url: str | None) -> str | None:
        """Return the address of the page that shows the subject, or None where no base URL is set."""
        if base_url is None:
            return None
        query = f"?{urlencode(self.address)}" if self.address else ""
        return f"{base_url.rstrip('/')}/{self.page}{query}"


def read_messages(event: Event) -> tuple[Message, ...]:
    """Return the messages of one event, most often none. Only the event is read: no table, no registry."""
    return tuple(message for message in (_request(event), _decision(event), _finding(event), _job(event)) if message)


def _request(event: Event) -> Message | None:
    if event.action != Action.PROMOTION_REQUEST.value or event.outcome is not Outcome.SUCCESS:
        return None
    gates = [gate for gate in event.after.get("gates", ()) if isinstance(gate, Mapping)]
    failed = sum(not gate.get("passed") for gate in gates)
    stage = event.after.get("to", event.before.get("to"))
    if failed:
        sentence = text(
            "{actor} requests {stage} for {version}; {failed} of {all} gates fail.",
            actor=event.actor,
            stage=stage,
            version=event.subject,
            failed=failed,
            all=len(gates),
        )
    else:
        sentence = text(
            "{actor} requests {stage} for {version}.", actor=event.actor, stage=stage, version=event.subject
        )
    request = event.after.get("request")
    return _message(
        event,
        Kind.REQUEST,
        sentence,
        roles=_DECIDES,
        page="promotions",
        address={"promotions_request": str(request)},
        facts={"request": request, "to": stage, "gates_passed": event.after.get("gates_passed")},
    )


def _decision(event: Event) -> Message | None:
    request = event.after.get("request") or event.before.get("request")
    status = snapshot_row(event.after, "request").get("status")
    decision = str(event.after.get("decision", ""))
    part = _PART.match(decision)
    roles = _ASKS
    named = {"actor": event.actor, "version": event.subject}
    if event.action == Action.PROMOTION_DECIDE.value and status == RequestStatus.EXPIRED.value:
        sentence, status = text("The request for {version} has expired.", version=event.subject), "expired"
    elif event.outcome is not Outcome.SUCCESS:
        return None
    elif event.action == Action.PROMOTION_ROLLBACK.value:
        sentence = text("{actor} rolled back to {version}, which is in Production now.", **named)
        status, roles = "rolled back", (*_ASKS, *_DECIDES)
    elif event.action == Action.RECONCILE_RESOLVE.value and request and event.after.get("status"):
        status = str(event.after["status"])
        sentence = text("{actor} resolved the unfinished decision on {version}: {status}.", status=status, **named)
    elif event.action != Action.PROMOTION_DECIDE.value:
        return None
    elif part:
        status, roles = "approved in part", _DECIDES
        sentence = text(
            "{actor} approved {version}: approval {count} of {needed}.",
            count=part["count"],
            needed=part["needed"],
            **named,
        )
    elif decision == "rejected":
        sentence = text("{actor} rejected the request for {version}.", **named)
    else:
        number = event.subject.rpartition("/")[2]
        stage = dict(event.after.get("stages") or {}).get(number)
        sentence = (
            text("{actor} approved {version}; its stage is {stage} now.", stage=stage, **named)
            if stage
            else text("{actor} approved {version}.", **named)
        )
    return _message(
        event,
        Kind.DECISION,
        sentence,
        roles=roles,
        page="promotions",
        address={"promotions_request": str(request)},
        facts={"request": request, "status": status, "stages": event.after.get("stages")},
    )


def _finding(event: Event) -> Message | None:
    row = snapshot_row(event.after, "finding")
    is_assigned = "kind" in event.before
    opens = event.action in (Action.FINDING_OPEN.value, Action.PROMOTION_ROLLBACK.value)
    if event.outcome is not Outcome.SUCCESS or not opens or is_assigned or not row.get("opened_at"):
        return None
    owner = str(row.get("owner", ""))
    sentence = text(
        "Finding of severity {severity} about {subject}: {kind}.",
        severity=row.get("severity"),
        subject=row.get("subject"),
        kind=row.get("kind"),
    )
    return _message(
        event,
        Kind.FINDING,
        sentence,
        reason=str(row.get("detail", event.reason)),
        roles=(Role(owner),) if owner in {role.value for role in Role} else _DECIDES,
        page="audit",
        # The page knows its tabs by their titles.
        address={"audit_tab": text("Findings"), "finding": str(row.get("id"))},
        facts={name: row.get(name) for name in ("id", "kind", "severity", "owner", "due")},
    )


def _job(event: Event) -> Message | None:
    job = event.after.get("job")
    if event.outcome is not Outcome.FAILED or not job:
        return None
    kind, model = event.after.get("kind"), str(event.after.get("model", ""))
    sentence = (
        text("The job {kind} of {model} failed.", kind=kind, model=model)
        if model
        else text("The job {kind} failed.", kind=kind)
    )
    return _message(
        event,
        Kind.JOB,
        sentence,
        model=model,
        roles=tuple(Role(role) for role in event.role.split(",") if role),
        page="training",
        address={"training_tab": text("Jobs"), "training_job": str(job)},
        facts={"job": job, "kind": kind},
    )


def _message(
    event: Event, kind: Kind, sentence: str, *, roles: tuple[Role, ...], model: str | None = None, **parts: Any
) -> Message:
    match = _VERSION.match(event.subject)
    reason = line(parts.pop("reason", event.reason))
    return Message(
        id=f"{kind.value}-{event.sequence}-{event.hash[:16]}",
        kind=kind,
        time=event.time,
        text=line(sentence),
        subject=line(event.subject),
        model=(match["model"] if match else event.subject) if model is None else model,
        actor=line(event.actor),
        reason=reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + "…",
        roles=roles,
        **parts,
    )
