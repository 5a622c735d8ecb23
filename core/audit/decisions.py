"""Decisions: the stored requests with their approvals. They are the truth; the registry's stages follow them."""

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

# A process that died holds its model's lock no longer than this; a live process needs a second or two.
_LOCK_LEASE = timedelta(seconds=60)
_LOCK_WAIT_S = 30.0
_LOCK_POLL_S = 0.05


class Decisions:
    """The requests in one database. Status changes are compare-and-set, so that one of two concurrent deciders wins."""

    def __init__(self, database: Database, *, redact: Callable[[str], str] | None = None) -> None:
        """*redact* masks secrets in the reasons that people give."""
        self._database = database
        self._redact = redact or redactor()

    def add(self, request: PromotionRequest) -> PromotionRequest:
        """Store a new request. Raises AlreadyDecided where the same version and stage is requested already."""
        request = replace(
            request,
            request_reason=self._redact(request.request_reason),
            reason=self._redact(request.reason) if request.reason else request.reason,
        )
        try:
            with self._database.write() as connection:
                connection.execute(sa.insert(requests).values(_columns(request)))
        except sa.exc.IntegrityError as error:
            self.refuse_second(request.model, request.version, request.to, error)
            raise
        return request

    def refuse_second(self, model: str, version: int, to: Stage, cause: Exception | None = None) -> None:
        """Raise AlreadyDecided where a request for the same version and stage is open or being decided."""
        for other in self.list(model=model, statuses=(RequestStatus.OPEN, RequestStatus.UNFINISHED)):
            if (other.version, other.to, other.kind) == (version, to, RequestKind.PROMOTION):
                raise AlreadyDecided(
                    "{requester} already requested {stage} for {model_version}. Request {request_id} is {status}.",
                    requester=other.requested_by,
                    stage=to.value,
                    model_version=str(other.key),
                    request_id=other.id,
                    status=other.status.value,
                ) from cause

    def get(self, request_id: str) -> PromotionRequest:
        """Return one request. Raises RequestNotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(requests).where(requests.c.id == request_id)).mappings().first()
        if row is None:
            raise RequestNotFound(
                "There is no request {request_id!r}. `requests` lists all requests.", request_id=request_id
            )
        return _request(row)

    def list(
        self,
        *,
        model: str | None = None,
        statuses: tuple[RequestStatus, ...] = (),
        limit: int | None = None,
    ) -> tuple[PromotionRequest, ...]:
        """Return requests, newest first. *until* is a time of request."""
        query = sa.select(requests).order_by(requests.c.requested_at.desc(), requests.c.id)
        if model is not None:
            query = query.where(requests.c.model == model)
        if statuses:
            query = query.where(requests.c.status.in_([status.value for status in statuses]))
        with self._database.read() as connection:
            return tuple(_request(row) for row in connection.execute(query.limit(limit)).mappings())

    def count_approved(self, model: str) -> int:
        """Return the number of approved requests for *model*: it grows with each, whatever the machines' clocks say."""
        query = sa.select(sa.func.count()).select_from(requests).where(_is_approved(model))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def models_decided(self) -> frozenset[str]:
        """Return the models for which a request was ever approved."""
        query = sa.select(requests.c.model).where(requests.c.status == RequestStatus.APPROVED.value).distinct()
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def last_approved(self, model: str) -> PromotionRequest:
        """Return the approved request that was decided last. Raises RequestNotFound where there is none."""
        query = sa.select(requests).where(_is_approved(model)).order_by(requests.c.decided_at.desc()).limit(1)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise RequestNotFound("No request for {model} was ever approved.", model=model)
        return _request(row)

    def change_status(
        self, request_id: str, before: RequestStatus, after: RequestStatus, **changes: Any
    ) -> PromotionRequest:
        """Change a request's status if the status still is *before*. Raises AlreadyDecided, which names the decider."""
        values = {"status": after.value} | {name: _column(value) for name, value in changes.items()}
        if values.get("reason"):
            values["reason"] = self._redact(values["reason"])
        with self._database.write() as connection:
            changed = connection.execute(
                sa.update(requests).where(requests.c.id == request_id, requests.c.status == before.value).values(values)
            )
        current = self.get(request_id)
        if changed.rowcount != 1:
            raise _already_decided(current)
        return current

    def approvals(self, request_id: str) -> tuple[Approval, ...]:
        """Return the approvals of a request, oldest first."""
        query = sa.select(approvals).where(approvals.c.request_id == request_id).order_by(approvals.c.at)
        with self._database.read() as connection:
            return tuple(Approval(**row) for row in connection.execute(query).mappings())

    def add_approval(self, approval: Approval) -> tuple[Approval, ...]:
        """Store one more approval and return all. Raises AlreadyDecided where the person has approved before."""
        approval = replace(approval, reason=self._redact(approval.reason))
        try:
            with self._database.write() as connection:
                connection.execute(sa.insert(approvals).values(asdict(approval)))
        except sa.exc.IntegrityError as error:
            raise AlreadyDecided(
                "{person} has already approved request {request_id}. The next approval must come from another person.",
                person=approval.by,
                request_id=approval.request_id,
            ) from error
        return self.approvals(approval.request_id)

    @contextmanager
    def lock(self, model: str) -> Iterator[ModelLock]:
        """Let one process change the stages of *model*, over all machines. A lease row keeps the audit log writable.

        Call `confirm` right before the registry is changed, because the lease may have expired. Call `leave` where
        MLflow did not answer. Raises DatabaseUnavailable where another decision on the model does not finish in time.
        """
        lock = ModelLock(self._database, model)
        deadline = time.monotonic() + _LOCK_WAIT_S
        while not lock.acquire():
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(
                    "Another decision on {model} is in progress, or MLflow did not answer the last decision. Try again "
                    "in a minute.",
                    model=model,
                )
            time.sleep(_LOCK_POLL_S)
        try:
            yield lock
        finally:
            lock.release()


class ModelLock:
    """The lease on one model's stages. It expires if its holder dies."""

    def __init__(self, database: Database, model: str) -> None:
        self._database, self._model, self._owner = database, model, uuid4().hex
        self._is_kept = False

    def acquire(self) -> bool:
        """Take the lease if it is free. A read comes first, so that waiting processes do not block writers."""
        now = datetime.now(UTC)
        with self._database.read() as connection:
            expires = connection.execute(sa.select(locks.c.expires).where(locks.c.name == self._model)).scalar()
        if expires is not None and expires >= now:
            return False
        values = {"owner": self._owner, "expires": now + _LOCK_LEASE}
        with self._database.write() as connection:
            updated = connection.execute(
                sa.update(locks).where(locks.c.name == self._model, locks.c.expires < now).values(values)
            )
            if updated.rowcount == 1:
                return True
            insert = _insert_or_ignore(connection.dialect.name)
            return connection.execute(insert.values(name=self._model, **values)).rowcount == 1

    def confirm(self) -> None:
        """Renew the lease. Raises LeaseLost where another process has it."""
        with self._database.write() as connection:
            renewed = connection.execute(
                sa.update(locks)
                .where(locks.c.name == self._model, locks.c.owner == self._owner)
                .values(expires=datetime.now(UTC) + _LOCK_LEASE)
            )
        if renewed.rowcount != 1:
            raise LeaseLost(
                "This decision on {model} took so long that another decision began. Nothing was changed. Try again.",
                model=self._model,
            )

    def leave(self) -> None:
        """Let the lease expire by itself: until then, MLflow may still carry out the change that it did not answer."""
        self._is_kept = True

    def release(self) -> None:
        if self._is_kept:
            return
        with self._database.write() as connection:
            connection.execute(sa.delete(locks).where(locks.c.name == self._model, locks.c.owner == self._owner))


def _is_approved(model: str) -> sa.ColumnElement[bool]:
    return sa.and_(requests.c.model == model, requests.c.status == RequestStatus.APPROVED.value)


def _insert_or_ignore(dialect: str) -> Any:
    from sqlalchemy.dialects import postgresql, sqlite

    make = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return make(locks).on_conflict_do_nothing()


def _already_decided(request: PromotionRequest) -> AlreadyDecided:
    values = {"request_id": request.id, "status": request.status}
    if request.decided_by is None:
        return AlreadyDecided(
            "Request {request_id} is {state} now. Reload to see the change.", state=request.status.value, **values
        )
    values["person"] = request.decided_by
    values["time"] = f"{request.decided_at:%Y-%m-%d %H:%M UTC}" if request.decided_at else "just now"
    if request.status is RequestStatus.UNFINISHED:
        return AlreadyDecided(
            "Request {request_id} is being decided by {person} ({time}); nothing was changed.", **values
        )
    return AlreadyDecided(
        "Request {request_id} was {state} by {person} ({time}); nothing was changed.",
        state=request.status.value,
        **values,
    )


def _column(value: Any) -> Any:
    if isinstance(value, Mapping):
        return canonical(value)
    if isinstance(value, tuple):
        return canonical([gate.record if isinstance(gate, GateResult) else gate for gate in value])
    return value


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
        "decision_gates": _column(request.decision_gates),
        "decision_evidence": _column(request.decision_evidence),
        "checked_at": request.checked_at,
        "record": request.record,
    }


def _gates(column: str) -> tuple[GateResult, ...]:
    return tuple(GateResult.from_record(gate) for gate in json.loads(column))


def _request(row: Mapping[Any, Any]) -> PromotionRequest:
    plain = {
        name: row[name]
        for name in (
            *("id", "model", "version", "requested_by", "requested_at", "request_reason"),
            *("decided_by", "decided_at", "reason", "previous", "checked_at", "record"),
        )
    }
    return PromotionRequest(
        **plain,
        kind=RequestKind(row["kind"]),
        to=Stage(row["to_stage"]),
        status=RequestStatus(row["status"]),
        gates=_gates(row["gates"]),
        evidence=json.loads(row["evidence"]),
        decision_gates=None if row["decision_gates"] is None else _gates(row["decision_gates"]),
        decision_evidence=None if row["decision_evidence"] is None else json.loads(row["decision_evidence"]),
        intended=json.loads(row["intended"]),
        stages=json.loads(row["stages"]),
    )
