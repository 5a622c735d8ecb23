"""Identify: whether people sign in here, and who may be a demo identity where they do not."""

from __future__ import annotations

from datetime import datetime

from core.access.identity import DEMO_ROLES, demo_actor
from core.access.permissions import Action
from core.access.sign_in_state import IN_FORCE, SUBJECT
from core.entities import Actor
from core.errors import Forbidden, NotSignedIn, Refused
from core.features.promotion.reason import require_reason
from core.features.stores import Stores

# Who puts a provider in force: the program, whoever started it.
_PROGRAM = "modelledger"
PROVIDER_ENABLED = (
    "People sign in from now on; demo identities, and the tokens that they issued, are not taken any more."
)


def is_provider_enabled(stores: Stores) -> bool:
    """Whether this process's settings name a provider, or any process's ever did: the log remembers."""
    return stores.settings.has_sign_in or stores.provider.since() is not None


def provider_enabled_since(stores: Stores) -> datetime | None:
    """When the provider that is in force came into force; None where none is, or none was recorded yet."""
    return stores.provider.since()


def enable_provider(stores: Stores, *, channel: str) -> None:
    """Ends the demo identities on this database for good, and the tokens that they issued; one event, once."""
    if stores.provider.since() is None:
        stores.provider.set(program_actor(channel), reason=PROVIDER_ENABLED, ended=tuple(DEMO_ROLES))


def program_actor(channel: str) -> Actor:
    """ModelLedger itself, which has no role."""
    return Actor(name=_PROGRAM, roles=frozenset(), channel=channel)


def refuse_demo(stores: Stores) -> None:
    """Raises Forbidden where a provider is or was in force."""
    since = stores.provider.since()
    if stores.settings.has_sign_in or since is not None:
        when = f" since {since:%Y-%m-%d}" if since else ""
        raise Forbidden(
            f"People sign in here by a provider{when}, so demo identities are not taken: name the provider in this "
            "process's settings (MODELLEDGER_SECRETS), or see docs/security.md for the way back."
        )


def demo_identity(stores: Stores, name: str, *, channel: str) -> Actor:
    """The demo identity *name*. Raises Forbidden where people sign in, BadInput where there is none of that name."""
    refuse_demo(stores)
    return demo_actor(name, channel=channel)


def allow_demo(stores: Stores, actor: Actor, *, reason: str) -> None:
    """Takes the demo identities back, where the provider is gone: by an admin's token, whoever could edit a setting.

    Raises Forbidden, NotSignedIn (not by a token), Refused (a provider is configured still, or none is in force),
    ReasonMissing.
    """
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, SUBJECT, reason=reason) as record:
        reason = require_reason(reason)
        if stores.settings.has_sign_in:
            raise Refused("The settings still name a sign-in provider; take its [auth] section away first.")
        if stores.provider.since() is None:
            raise Refused("No provider is in force, so demo identities are taken here as it is.")
        if actor.token is None:
            raise NotSignedIn("This takes an admin's token in MODELLEDGER_TOKEN.")
        record.after = {IN_FORCE: False}
