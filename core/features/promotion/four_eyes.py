"""Separation of duties: who counts as one person, whatever they are called and whichever token they act by."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from core.entities import BY_TOKEN, Actor, Approval, PromotionRequest
from core.errors import AlreadyDecided, SelfApproval
from core.features.stores import Stores


def refuse_own_request(stores: Stores, request: PromotionRequest, actor: Actor) -> None:
    """Raises SelfApproval where *actor* may be who asked: by name, by a token of that name, or by one issuer."""
    refuse_same_person(stores, request.requested_by, actor, f"asked for {request.key}; somebody else has to decide.")


def refuse_same_person(stores: Stores, first: str, actor: Actor, what: str) -> None:
    """Raises SelfApproval where *actor* may be the person called *first*, who did *what*."""
    if may_be_same_person(stores, first, actor.name):
        who = (
            first if first == actor.name else f"{first}, who may be the same person as {actor.name} (docs/policies.md),"
        )
        raise SelfApproval(f"{who} {what}", actor=actor.name)


def refuse_second_approval(stores: Stores, actor: Actor, said_yes: Iterable[Approval]) -> None:
    """One yes for each person, and one in all by a token. Raises AlreadyDecided."""
    for approval in said_yes:
        if approval.by == actor.name:
            continue  # told by the store of approvals, which holds one of each name
        both_tokens = _is_token(approval.by) and _is_token(actor.name)
        if both_tokens or may_be_same_person(stores, approval.by, actor.name):
            why = "one of several approvals at most is given by a token" if both_tokens else "they may be one person"
            raise AlreadyDecided(
                f"{approval.by} has approved request {approval.request_id} already, and {actor.name} adds nothing: "
                f"{why}; somebody else has to.",
                request_id=approval.request_id,
            )


def may_be_same_person(stores: Stores, one: str, other: str) -> bool:
    """Whether somebody may stand behind both names: whoever issues a token can act by it."""
    return not _behind(stores, one).isdisjoint(_behind(stores, other))


def _behind(stores: Stores, name: str) -> frozenset[str]:
    """Everybody who can act under *name*: that name, and for a token its own name and who issued it, and so on."""
    tokens = stores.tokens.list()
    found: set[str] = set()
    left = [name]
    while left:
        known = _compared(stores, left.pop())
        if known in found:
            continue
        found.add(known)
        if _is_token(known):
            left.append(known.removeprefix(BY_TOKEN))
            left += [token.issued_by for token in tokens if _compared(stores, BY_TOKEN + token.name) == known]
    return frozenset(found)


def _is_token(name: str) -> bool:
    return name.startswith(BY_TOKEN)


def _compared(stores: Stores, name: str) -> str:
    """A name without what two spellings of it differ in; without its provider too: one person may be at several."""
    known = unicodedata.normalize("NFKC", name)
    for provider in stores.settings.sign_in_providers:
        known = known.removesuffix(f" ({provider})")
    return known.strip().casefold()
