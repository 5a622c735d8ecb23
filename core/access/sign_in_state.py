"""Sign-in state: whether people sign in with a provider. An event of the log, so that no process's settings decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy.engine import Connection

from core.access.permissions import Action
from core.access.tokens import Tokens
from core.entities import Actor, Event, Outcome

SUBJECT = "sign-in provider"
IN_FORCE = "in_force"


class EventLog(Protocol):
    """The part of `core.audit.log.AuditLog` that is used here; that module itself imports core.access."""

    def transaction(self) -> AbstractContextManager[Connection]: ...

    def append_within(
        self,
        connection: Connection,
        actor: Actor,
        action: str,
        subject: str,
        outcome: Outcome,
        *,
        reason: str = "",
        after: Mapping[str, Any] | None = None,
    ) -> Event: ...

    def search(
        self, *, subject: str, action: str, outcome: str, limit: int, within: Connection | None
    ) -> Sequence[Event]: ...


class SignInState:
    """The sign-in state of one database: the newest of its events."""

    def __init__(self, audit: EventLog, tokens: Tokens) -> None:
        self._audit, self._tokens = audit, tokens

    def since(self) -> datetime | None:
        """Return the time since when a provider is in force, None where demo identities are accepted."""
        return self._since(None)

    def set(self, actor: Actor, *, reason: str, ended: tuple[str, ...]) -> None:
        """Put a provider in force and revoke the tokens that *ended* issued; one event for any number of processes."""
        with self._audit.transaction() as connection:
            self.set_within(connection, actor, reason=reason, ended=ended)

    def set_within(self, connection: Connection, actor: Actor, *, reason: str, ended: tuple[str, ...]) -> None:
        """Do the same within `AuditLog.transaction`."""
        if self._since(connection) is not None:
            return
        revoked = self._tokens.revoke_within(connection, issued_by=ended, by=actor.name, now=datetime.now(UTC))
        self._audit.append_within(
            connection,
            actor,
            Action.SETTINGS_WRITE.value,
            SUBJECT,
            Outcome.SUCCESS,
            reason=reason,
            after={IN_FORCE: True, "revoked": list(revoked)},
        )

    def _since(self, within: Connection | None) -> datetime | None:
        newest = self._audit.search(
            subject=SUBJECT, action=Action.SETTINGS_WRITE.value, outcome=Outcome.SUCCESS.value, limit=1, within=within
        )
        return next((event.time for event in newest if event.after.get(IN_FORCE) is True), None)
