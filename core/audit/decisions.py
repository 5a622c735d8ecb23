"""Requests for a stage and what was decided on them: the truth, of which the registry's stages are the projection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from core.audit.canonical_json import canonical
from core.database.engine import Database
from core.database.tables import approvals, locks, requests
from core.entities import Approval, GateResult, PromotionRequest, RequestKind, RequestStatus, Stage
from core.errors import AlreadyDecided, DatabaseUnavailable, LeaseLost, RequestNotFound
from core.redact import redactor

# A promoter that died holds its model's lock no longer than this; a live one is done in a second or two.
_LOCK_LEASE = timedelta(seconds=60)
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.05


class Decisions:
    """Requests in one database; state changes are compare-and-set, so that of two deciders one wins."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        """*redact* takes secrets out of the reasons that people give."""
        self._database = database
        self._redact = redact or redactor()

    def add(self, request: PromotionRequest) -> PromotionRequest:
        """Keeps a new request."""
        request = replace(
            request,
            request_reason=self._redact(request.request_reason),
            reason=self._redact(request.reason) if request.reason else request.reason,
        )
        with self._database.write() as connection:
            connection.execute(sa.insert(requests).values(_columns(request)))
        return request

    def get(self, request_id: str) -> PromotionRequest:
        """Raises RequestNotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(requests).where(requests.c.id == request_id)).mappings().first()
        if row is None:
            raise RequestNotFound(
                f"There is no request {request_id!r}; `requests` lists them all.", request_id=request_id
            )
        return _request(row)

    def list(
        self,
        *,
        model: str | None = None,
        statuses: tuple[RequestStatus, ...] = (),
        limit: int | None = None,
    ) -> tuple[PromotionRequest, ...]:
        """Requests, newest first."""
        query = sa.select(requests).order_by(requests.c.requested_at.desc(), requests.c.id)
        if model is not None:
            query = query.where(requests.c.model == model)
        if statuses:
            query = query.where(requests.c.status.in_([status.value for status in statuses]))
        with self._database.read() as connection:
            return tuple(_request(row) for row in connection.execute(query.limit(limit)).mappings())

    def made(self, model: str) -> int:
        """How many decisions on *model* were carried out: grows with each, whatever the clocks of machines say."""
        query = sa.select(sa.func.count()).select_from(requests).where(_carried_out(model))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def last(self, model: str) -> PromotionRequest:
        """The newest of them. Raises RequestNotFound where there is none."""
        query = sa.select(requests).where(_carried_out(model)).order_by(requests.c.decided_at.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise RequestNotFound(f"No decision on {model} was ever carried out.", model=model)
        return _request(row)

    def move(self, request_id: str, before: RequestStatus, after: RequestStatus, **changes: Any) -> PromotionRequest:
        """Changes a request's status if it still is *before*. Raises AlreadyDecided, which names who was first."""
        values = {"status": after.value} | {name: _column(value) for name, value in changes.items()}
        if values.get("reason"):
            values["reason"] = self._redact(values["reason"])
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(requests).where(requests.c.id == request_id, requests.c.status == before.value).values(values)
            )
        current = self.get(request_id)
        if changed.rowcount != 1:
            raise AlreadyDecided(_who_was_first(current), request_id=request_id, status=current.status)
        return current

    def approvals(self, request_id: str) -> tuple[Approval, ...]:
        """Who said yes so far, in order."""
        query = sa.select(approvals).where(approvals.c.request_id == request_id).order_by(approvals.c.at)
        with self._database.read() as connection:
            return tuple(Approval(**row) for row in connection.execute(query).mappings())

    def add_approval(self, approval: Approval) -> tuple[Approval, ...]:
        """Keeps one more yes and returns them all. Raises AlreadyDecided where that person said yes before."""
        approval = replace(approval, reason=self._redact(approval.reason))
        try:
            with self._database.write() as connection:
                connection.execute(sa.insert(approvals).values(asdict(approval)))
        except sa.exc.IntegrityError as error:
            raise AlreadyDecided(
                f"{approval.by} has approved request {approval.request_id} already; somebody else has to.",
                request_id=approval.request_id,
            ) from error
        return self.approvals(approval.request_id)

    @contextmanager
    def lock(self, model: str) -> Iterator[ModelLock]:
        """One promoter per model, over processes and machines: a lease row, so that the audit log stays writable.

        Call `confirm` on it right before changing the registry: the lease may have run out meanwhile; and `leave` it
        where a change got no answer.
        Raises DatabaseUnavailable where another promoter of the model does not finish in time.
        """
        held = ModelLock(self._database, model)
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not held.acquire():
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    f"Another decision on {model} is going on, or MLflow left one without an answer; try again in a "
                    "minute.",
                    model=model,
                )
            time.sleep(_LOCK_POLL_S)
        try:
            yield held
        finally:
            held.release()


class ModelLock:
    """The lease on one model's stages. A holder that died loses it when the lease runs out."""

    def __init__(self, database: Database, model: str) -> None:
        self._database, self._model, self._owner = database, model, uuid4().hex
        self._is_left = False

    def acquire(self) -> bool:
        """Takes the lease if it is free; a look comes first, so that waiting does not keep writers out."""
        now = datetime.now(UTC)
        with self._database.read() as connection:
            expires = connection.execute(sa.select(locks.c.expires).where(locks.c.name == self._model)).scalar()
        if expires is not None and expires >= now:
            return False
        values = {"owner": self._owner, "expires": now + _LOCK_LEASE}
        with self._database.write() as connection:
            taken = connection.execute(
                sa.update(locks).where(locks.c.name == self._model, locks.c.expires < now).values(values)
            )
            if taken.rowcount == 1:
                return True
            insert = _insert_or_ignore(connection.dialect.name)
            return connection.execute(insert.values(name=self._model, **values)).rowcount == 1

    def confirm(self) -> None:
        """Renews the lease. Raises LeaseLost where another promoter has it."""
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(locks)
                .where(locks.c.name == self._model, locks.c.owner == self._owner)
                .values(expires=datetime.now(UTC) + _LOCK_LEASE)
            )
        if renewed.rowcount != 1:
            raise LeaseLost(
                f"This decision on {self._model} took so long that another one began; nothing was changed, try again.",
                model=self._model,
            )

    def leave(self) -> None:
        """Lets the lease run out by itself: until then what MLflow did not answer may still be carried out there."""
        self._is_left = True

    def release(self) -> None:
        if self._is_left:
            return
        with self._database.write() as connection:
            connection.execute(sa.delete(locks).where(locks.c.name == self._model, locks.c.owner == self._owner))


def _carried_out(model: str) -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.model == model, requests.c.status == RequestStatus.APPROVED.value)


def _insert_or_ignore(dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return make(locks).on_conflict_do_nothing()


def _who_was_first(request: PromotionRequest) -> str:
    if request.decided_by is None:
        return f"Request {request.id} is {request.status.value} now; reload to see it."
    when = request.decided_at.strftime("%Y-%m-%d %H:%M UTC") if request.decided_at else "just now"
    word = "is being decided" if request.status is RequestStatus.UNFINISHED else f"was {request.status.value}"
    return f"Request {request.id} {word} by {request.decided_by} ({when}); nothing was changed."


def _column(value: Any) -> Any:
    if isinstance(value, Mapping):
        return canonical(value)
    if isinstance(value, tuple):
        return canonical([_gate(gate) if isinstance(gate, GateResult) else gate for gate in value])
    return value


def _gate(gate: GateResult) -> dict[str, Any]:
    return {"name": gate.name, "passed": gate.passed, "detail": gate.detail}


def _columns(request: PromotionRequest) -> dict[str, Any]:
    return {
        "id": request.id,
        "kind": request.kind.value,
        "model": request.model,
        "version": request.version,
        "to_stage": request.to.value,
        "status": request.status.value,
        "gates": _column(request.gates),
        "requested_by": request.requested_by,
        "requested_at": request.requested_at,
        "request_reason": request.request_reason,
        "decided_by": request.decided_by,
        "decided_at": request.decided_at,
        "reason": request.reason,
        "evidence": _column(request.evidence),
        "intended": _column(request.intended),
        "stages": _column(request.stages),
        "previous": request.previous,
    }


def _request(row: Mapping[Any, Any]) -> PromotionRequest:
    plain = {
        name: row[name]
        for name in (
            *("id", "model", "version", "requested_by", "requested_at", "request_reason"),
            *("decided_by", "decided_at", "reason", "previous"),
        )
    }
    return PromotionRequest(
        **plain,
        kind=RequestKind(row["kind"]),
        to=Stage(row["to_stage"]),
        status=RequestStatus(row["status"]),
        gates=tuple(GateResult(**gate) for gate in json.loads(row["gates"])),
        evidence=json.loads(row["evidence"]),
        intended=json.loads(row["intended"]),
        stages=json.loads(row["stages"]),
    )
