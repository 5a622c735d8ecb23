"""Four eyes: nobody approves their own request, under whichever name or token they act."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from core.entities import BY_TOKEN, Actor, Approval, PromotionRequest
from core.errors import AlreadyDecided, SelfApproval
from core.features.stores import Stores
from core.texts import text


def refuse_own_request(stores: Stores, request: PromotionRequest, actor: Actor) -> None:
    """Raise SelfApproval where *actor* may be the requester: by name, by a token of that name, or by one issuer."""
    if may_be_same_person(stores, request.requested_by, actor.name):
        raise SelfApproval(
            "{requester} requested {stage} for {model_version}. Another person must decide.",
            requester=_names(request.requested_by, actor),
            stage=request.to.value,
            model_version=str(request.key),
            actor=actor.name,
        )


def refuse_own_rollback(stores: Stores, decided_by: str, actor: Actor, model_version: str) -> None:
    """Raise SelfApproval where *actor* may be the person who rolled back to *model_version* alone."""
    if may_be_same_person(stores, decided_by, actor.name):
        raise SelfApproval(
            "{decider} rolled back to {model_version}. Another person must review the rollback.",
            decider=_names(decided_by, actor),
            model_version=model_version,
            actor=actor.name,
        )


def refuse_second_approval(stores: Stores, actor: Actor, approvals: Iterable[Approval]) -> None:
    """Refuse a second approval by the same person, and a second approval by any token.

    Raises:
        AlreadyDecided: *actor* may be one of the approvers.
    """
    for approval in approvals:
        if approval.by == actor.name:
            continue  # the store of approvals refuses a second approval under the same name
        both_tokens = _is_token(approval.by) and _is_token(actor.name)
        if both_tokens or may_be_same_person(stores, approval.by, actor.name):
            raise AlreadyDecided(
                "{approver} already approved request {request_id}, and the approval of {actor} does not count: "
                "{reason}. Another person must approve.",
                approver=approval.by,
                request_id=approval.request_id,
                actor=actor.name,
                reason=text("at most one approval may come from a token")
                if both_tokens
                else text("both may be the same person"),
            )


def may_be_same_person(stores: Stores, name: str, other: str) -> bool:
    """Return whether one person may act under both names. The issuer of a token can act by it."""
    return not _people_behind(stores, name).isdisjoint(_people_behind(stores, other))


def _names(name: str, actor: Actor) -> str:
    if name == actor.name:
        return name
    return text("{name}, who may be the same person as {actor} (docs/policies.md),", name=name, actor=actor.name)


def _people_behind(stores: Stores, name: str) -> frozenset[str]:
    """Everybody who can act under *name*: that name, and for a token its own name, its issuer, and so on."""
    tokens = stores.tokens.list()
    people: set[str] = set()
    pending = [name]
    while pending:
        person = _normalized(stores, pending.pop())
        if person in people:
            continue
        people.add(person)
        if _is_token(person):
            pending.append(person.removeprefix(BY_TOKEN))
            pending += [token.issued_by for token in tokens if _normalized(stores, BY_TOKEN + token.name) == person]
    return frozenset(people)


def _is_token(name: str) -> bool:
    return name.startswith(BY_TOKEN)


def _normalized(stores: Stores, name: str) -> str:
    """A name without differences of spelling and without its provider, because one person may use several providers."""
    normalized = unicodedata.normalize("NFKC", name)
    for provider in stores.settings.sign_in_providers:
        normalized = normalized.removesuffix(f" ({provider})")
    return normalized.strip().casefold()
