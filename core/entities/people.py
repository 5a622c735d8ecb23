"""People, their roles, and the tokens that they act by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

# So begins the name of whoever acts by a token, and nobody else's.
BY_TOKEN = "token:"  # noqa: S105 — no password


class Role(str, Enum):
    """The four roles. A person may hold several."""

    AUDITOR = "auditor"
    SCIENTIST = "scientist"
    MANAGER = "manager"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts. *channel* tells how: "page", "cli", "worker", "token ID"; *token* is that id, for jobs too."""

    name: str
    roles: frozenset[Role]
    channel: str = "cli"
    token: str | None = None


class TokenState(str, Enum):
    """What a token is worth at a moment."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class Token:
    """What a person or a machine acts by on the command line; its text is shown once and kept nowhere."""

    id: str
    name: str
    role: Role
    issued_by: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> TokenState:
        """What was taken away stays so, also when its time is over."""
        if self.revoked is not None:
            return TokenState.REVOKED
        return TokenState.VALID if now < self.expires else TokenState.EXPIRED
