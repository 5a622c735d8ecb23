"""Find one event of the audit log by its number, for services that have checked the permission."""

from __future__ import annotations

from core.entities import Event
from core.errors import NotFound
from core.features.stores import Stores


def find_event(stores: Stores, sequence: int) -> Event:
    """Return the event with the number *sequence*.

    Raises:
        NotFound: there is no event with this number.
    """
    newest = stores.audit.search(before_sequence=sequence + 1, limit=1)
    if not newest or newest[0].sequence != sequence:
        raise NotFound(
            "There is no event {sequence}. The newest event is {newest}.",
            sequence=sequence,
            newest=stores.audit.head()[0],
        )
    return newest[0]
