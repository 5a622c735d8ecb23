"""People, their roles and their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

# The prefix of the name of an actor with a token. No other name may start with it.
BY_TOKEN = "token:"  # noqa: S105 — no password


class Role(str, Enum):
    """The four roles. A person may hold several."""

    AUDITOR = "auditor"
    SCIENTIST = "scientist"
    MANAGER = "manager"
    ADMIN = "admin"


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Who acts. *channel* is "page", "cli", "worker" or "token ID"; *token* is the id of the token, for jobs too."""

    name: str
    roles: frozenset[Role]
    channel: str = "cli"
    token: str | None = None


class TokenState(str, Enum):
    """The state of a token at a moment."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, kw_only=True)
class Token:
    """A token for the command line. Its text is shown once and stored nowhere."""

    id: str
    name: str
    role: Role
    issued_by: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None

    def state(self, now: datetime) -> TokenState:
        """A revoked token stays revoked after its expiry date."""
        if self.revoked is not None:
            return TokenState.REVOKED
        return TokenState.VALID if now < self.expires else TokenState.EXPIRED
