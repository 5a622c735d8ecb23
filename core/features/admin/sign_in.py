"""Sign-in: whether a sign-in provider is enabled, and demo identities where none is."""

from __future__ import annotations

from datetime import datetime

from core.access.identity import DEMO_ROLES, demo_actor
from core.access.permissions import Action
from core.access.sign_in_state import IN_FORCE, SUBJECT
from core.entities import Actor
from core.errors import Forbidden, NotSignedIn, Refused
from core.features.promotion.reason import require_reason
from core.features.stores import Stores
from core.texts import text

# The actor that enables a provider: the program itself, not the person who started it.
_PROGRAM = "modelledger"
PROVIDER_ENABLED = "People sign in from now on. Demo identities and the tokens that they issued are no longer accepted."


def is_provider_enabled(stores: Stores) -> bool:
    """Return whether the settings of this process name a provider, or those of any process ever did (from the log)."""
    return stores.settings.has_sign_in or stores.provider.since() is not None


def provider_enabled_since(stores: Stores) -> datetime | None:
    """Return when the present provider was enabled, or None where none is or none was recorded yet."""
    return stores.provider.since()


def enable_provider(stores: Stores, *, channel: str) -> None:
    """End the demo identities on this database and the tokens that they issued. Records one event, once."""
    if stores.provider.since() is None:
        stores.provider.set(program_actor(channel), reason=PROVIDER_ENABLED, ended=tuple(DEMO_ROLES))


def program_actor(channel: str) -> Actor:
    """Return ModelLedger itself as the actor. It has no role."""
    return Actor(name=_PROGRAM, roles=frozenset(), channel=channel)


def refuse_demo(stores: Stores) -> None:
    """Raise Forbidden where a provider is or was enabled."""
    since = stores.provider.since()
    if stores.settings.has_sign_in or since is not None:
        raise Forbidden(
            "A sign-in provider is enabled{since}, so demo identities are not accepted. Name the provider in the "
            "settings of this process (MODELLEDGER_SECRETS), or see docs/security.md to accept demo identities again.",
            since=text(" since {day:%Y-%m-%d}", day=since) if since else "",
        )


def demo_identity(stores: Stores, name: str, *, channel: str) -> Actor:
    """Return the demo identity *name*.

    Raises:
        Forbidden: a sign-in provider is enabled.
        BadInput: there is no demo identity of this name.
    """
    refuse_demo(stores)
    return demo_actor(name, channel=channel)


def allow_demo(stores: Stores, actor: Actor, *, reason: str) -> None:
    """Accept demo identities again after the provider was removed from the settings. Needs an admin's token.

    Raises:
        NotSignedIn: the actor does not act by a token.
        Refused: a provider is still configured, or none is enabled.
        Forbidden, ReasonMissing.
    """
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, SUBJECT, reason=reason) as record:
        reason = require_reason(reason)
        if stores.settings.has_sign_in:
            raise Refused("The settings still name a sign-in provider. Remove its [auth] section first.")
        if stores.provider.since() is None:
            raise Refused("No sign-in provider is enabled, so demo identities are accepted already.")
        if actor.token is None:
            raise NotSignedIn("This needs an admin's token in MODELLEDGER_TOKEN.")
        record.after = {IN_FORCE: False}
