"""Identity: the actor that a sign-in provider's claims name; without a provider, the demo identities."""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.entities import BY_TOKEN, Actor, Role
from core.errors import BadInput, Forbidden, NotSignedIn

DEMO_ROLES: dict[str, Role] = {
    "auditor": Role.AUDITOR,
    "scientist": Role.SCIENTIST,
    "manager": Role.MANAGER,
    "manager2": Role.MANAGER,
    "admin": Role.ADMIN,
}

DEFAULT_IDENTITY = "auditor"
_LONGEST_NAME = 200


def demo_actor(name: str, *, channel: str) -> Actor:
    """Return the demo identity *name*. Raises BadInput, which lists the demo identities."""
    role = DEMO_ROLES.get(name)
    if role is None:
        raise BadInput(
            "There is no demo identity {name!r}; take one of {names}.", name=name, names=", ".join(DEMO_ROLES)
        )
    return Actor(name=name, roles=frozenset({role}), channel=channel)


def actor_from_claims(
    claims: Mapping[str, Any],
    *,
    roles: Mapping[str, str],
    roles_claim: str,
    name_claim: str,
    now: datetime,
    channel: str = "page",
    provider: str = "",
    accept_unverified: bool = False,
) -> Actor:
    """Return the person whom a provider's verified *claims* name, with the roles of their groups.

    *provider* is its name where there are several: the same name at two providers is then two people.
    *accept_unverified* accepts an email address that the provider does not state to be verified. Raises NotSignedIn
    for claims that have expired or have no expiry, Forbidden for claims without a name or a role.
    """
    _require_current(claims.get("exp"), now)
    name = _name(claims, name_claim, accept_unverified=accept_unverified)
    name = f"{name} ({provider})" if provider else name
    groups = _groups(claims, roles_claim)
    held_roles = frozenset(Role(roles[group]) for group in groups if group in roles)
    if not held_roles:
        raise Forbidden(
            "{actor} is signed in but has no role here: none of their groups (claim {claim}) is mapped to a "
            "role. Ask an "
            "admin.",
            actor=name,
            claim=roles_claim,
        )
    return Actor(name=name, roles=held_roles, channel=channel)


def sign_in_digest(claims: Mapping[str, Any]) -> str:
    """Return a digest that identifies a sign-in without revealing the person."""
    parts = {name: claims.get(name) for name in ("iss", "sub", "aud", "iat", "exp", "nonce")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def sign_in_end(claims: Mapping[str, Any]) -> datetime:
    """Return the time when accepted claims expire."""
    return datetime.fromtimestamp(float(claims["exp"]), UTC)


def is_loopback(address: str | None) -> bool:
    """Return whether only this machine can reach *address*. False for None, "" and names of all addresses."""
    if address in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address((address or "").strip("[]")).is_loopback
    except ValueError:
        return False


def _require_current(expires: object, now: datetime) -> None:
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise NotSignedIn("The sign-in has no expiry time, so it is not accepted. Sign in again.")
    if not expires > now.timestamp():  # also refuses NaN
        try:
            expired_at = f"{datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC"
        except (OverflowError, OSError, ValueError):
            raise NotSignedIn("The sign-in expired. Sign in again.") from None
        raise NotSignedIn("The sign-in expired at {time}. Sign in again.", time=expired_at)


def _name(claims: Mapping[str, Any], claim: str, *, accept_unverified: bool) -> str:
    """Return the person's one name: approvers are compared with requesters by name."""
    name = claims.get(claim)
    if not isinstance(name, str) or not name.strip():
        raise Forbidden(
            "The sign-in provider does not send the claim {claim}, which names people here. Ask an admin.", claim=claim
        )
    name = name.strip()
    if not name.isprintable() or len(name) > _LONGEST_NAME or name.casefold().startswith(BY_TOKEN):
        raise Forbidden("The claim {claim} of this sign-in cannot be used as a name. Ask an admin.", claim=claim)
    if claim == "email":
        # An unverified address may belong to somebody else.
        if not _is_true(claims.get("email_verified")) and not accept_unverified:
            raise Forbidden(
                "The sign-in provider does not state that it verified the address {address} (claim "
                "email_verified). Ask "
                "an admin, who can accept such addresses with MODELLEDGER_ACCEPT_UNVERIFIED_EMAIL.",
                address=name,
            )
        name = name.lower()
    return name


def _is_true(claim: object) -> bool:
    """Return whether a claim is true. Some providers send booleans as words; 1 is not accepted."""
    return claim is True or claim == "true"


def _groups(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """Return the groups in *claim*; where no claim has that name, *claim* is read as a dotted path."""
    groups: Any = claims.get(claim)
    if groups is None:
        groups = claims
        for part in claim.split("."):
            groups = groups.get(part) if isinstance(groups, Mapping) else None
    if isinstance(groups, str):
        return (groups,)
    return tuple(group for group in groups if isinstance(group, str)) if isinstance(groups, list | tuple) else ()
