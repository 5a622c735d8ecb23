"""The reason that a person gives for an action."""

from __future__ import annotations

from core.audit.canonical_json import storable
from core.errors import ReasonMissing

_MAX_LENGTH = 4_000


def require_reason(reason: str) -> str:
    """Return the reason as the audit log keeps it.

    Raises:
        ReasonMissing: the reason is empty or too long.
    """
    text = storable(reason).strip()
    if not text:
        raise ReasonMissing("A reason is required. Say in one sentence why; the audit log keeps it.")
    if len(text) > _MAX_LENGTH:
        raise ReasonMissing(
            "The reason is longer than {max_length} characters. Shorten it.", max_length=_MAX_LENGTH, length=len(text)
        )
    return text
