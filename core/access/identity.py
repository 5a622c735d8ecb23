"""Who a person is: read from what a sign-in provider claims; without a provider, the demo identities."""

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
    """The demo identity *name*. Raises BadInput, which lists them."""
    role = DEMO_ROLES.get(name)
    if role is None:
        raise BadInput(f"There is no demo identity {name!r}; take one of {', '.join(DEMO_ROLES)}.", name=name)
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
    """The person whom a provider's verified *claims* name, with the roles that their groups map to.

    *provider*: which one, where there are several; a name of one is then never the same name of another.
    *accept_unverified*: take an address of which the provider does not say that it checked it.
    Raises NotSignedIn where the claims have expired or do not say until when they hold, Forbidden where they name
    nobody or no role.
    """
    _require_current(claims.get("exp"), now)
    name = _name(claims, name_claim, accept_unverified=accept_unverified)
    name = f"{name} ({provider})" if provider else name
    groups = _groups(claims, roles_claim)
    held = frozenset(Role(roles[group]) for group in groups if group in roles)
    if not held:
        raise Forbidden(
            f"{name} is signed in but has no role here: none of their groups (claim {roles_claim}) is mapped to one; "
            "ask an admin.",
            actor=name,
        )
    return Actor(name=name, roles=held, channel=channel)


def sign_in_digest(claims: Mapping[str, Any]) -> str:
    """What tells one sign-in from every other, without anything of the person in it."""
    parts = {name: claims.get(name) for name in ("iss", "sub", "aud", "iat", "exp", "nonce")}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def sign_in_end(claims: Mapping[str, Any]) -> datetime:
    """When claims that were accepted end of themselves."""
    return datetime.fromtimestamp(float(claims["exp"]), UTC)


def is_loopback(address: str | None) -> bool:
    """Whether only this machine can reach *address*. None, "" and names that mean every address are not."""
    if address in ("localhost", "ip6-localhost"):
        return True
    try:
        return ipaddress.ip_address((address or "").strip("[]")).is_loopback
    except ValueError:
        return False


def _require_current(expires: object, now: datetime) -> None:
    if isinstance(expires, bool) or not isinstance(expires, int | float):
        raise NotSignedIn("The sign-in does not say until when it holds, so it is not accepted; sign in again.")
    if not expires > now.timestamp():  # also refuses NaN
        try:
            until = f" at {datetime.fromtimestamp(expires, UTC):%Y-%m-%d %H:%M} UTC"
        except (OverflowError, OSError, ValueError):
            until = ""
        raise NotSignedIn(f"The sign-in expired{until}; sign in again.")


def _name(claims: Mapping[str, Any], claim: str, *, accept_unverified: bool) -> str:
    """One person, one name: who approves is compared with who asked."""
    name = claims.get(claim)
    if not isinstance(name, str) or not name.strip():
        raise Forbidden(f"The sign-in provider sends no claim {claim}, which is to name people here; ask an admin.")
    name = name.strip()
    if not name.isprintable() or len(name) > _LONGEST_NAME or name.casefold().startswith(BY_TOKEN):
        raise Forbidden(f"The claim {claim} of this sign-in cannot be used as a name; ask an admin.")
    if claim == "email":
        # An address that nobody checked may be somebody else's.
        if not _is_true(claims.get("email_verified")) and not accept_unverified:
            raise Forbidden(
                f"The sign-in provider does not say that it verified the address {name} (claim email_verified); ask an "
                "admin, who may accept that by MODELLEDGER_ACCEPT_UNVERIFIED_EMAIL."
            )
        name = name.lower()
    return name


def _is_true(claim: object) -> bool:
    """Some providers send booleans as words; 1 is neither."""
    return claim is True or claim == "true"


def _groups(claims: Mapping[str, Any], claim: str) -> tuple[str, ...]:
    """The groups under *claim*, or, where there is none of that name, along its dotted path."""
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for part in claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return (found,)
    return tuple(group for group in found if isinstance(group, str)) if isinstance(found, list | tuple) else ()
