"""Tokens: an admin issues, lists and revokes what the command line acts by."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta

from core.access.identity import DEMO_ROLES
from core.access.permissions import Action, require
from core.access.tokens import require_valid
from core.entities import Actor, Outcome, Role, Token
from core.errors import BadName, BadParameter, Forbidden, NotFound, NotSignedIn
from core.features.admin.sign_in import PROVIDER_ENABLED, is_provider_enabled, program_actor, provider_enabled_since
from core.features.stores import Stores

MAX_DAYS = 366
FIRST = "first token"


def issue_token(
    stores: Stores, actor: Actor, *, name: str, role: Role, days: int, allow_decisions: bool = False, reason: str = ""
) -> tuple[Token, str]:
    """A new token and its text, which is shown this once. Raises Forbidden, BadName, BadParameter."""
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, f"token of {name}", reason=reason) as record:
        known, expires = _checked(name, role, days, allow_decisions)
        made = stores.tokens.issue(name=known, role=role, issued_by=actor.name, now=_now(), expires=expires)
        record.after = {"token": made[0].id, "role": role.value, "expires": expires.isoformat()}
    return made


def issue_first_token(stores: Stores, *, name: str, days: int, reason: str = "") -> tuple[Token, str]:
    """The token of the first admin, for whoever has the database itself: only while there has never been a token.

    From then on people sign in, and demo identities are not taken; what those issued does not count. The token, its
    event and that are one transaction. Raises Forbidden where there was one.
    """
    name, expires = _checked(name, Role.ADMIN, days, allow_decisions=False)
    who = Actor(name=name, roles=frozenset({Role.ADMIN}), channel=FIRST)
    subject = f"token of {name}"
    with stores.audit.transaction() as connection:
        made = stores.tokens.issue_first(
            connection, name=name, issued_by=FIRST, now=_now(), expires=expires, but=tuple(DEMO_ROLES)
        )
        if made is not None:
            after = {"token": made[0].id, "role": Role.ADMIN.value, "expires": expires.isoformat()}
            stores.audit.append_within(
                connection,
                who,
                Action.SETTINGS_WRITE.value,
                subject,
                Outcome.SUCCESS,
                reason=reason or FIRST,
                after=after,
            )
            stores.provider.set_within(
                connection, program_actor(FIRST), reason=PROVIDER_ENABLED, ended=tuple(DEMO_ROLES)
            )
    if made is None:
        why = "A token was issued here before, so another takes an admin's token in MODELLEDGER_TOKEN."
        nobody = Actor(name=name, roles=frozenset(), channel=FIRST)
        stores.audit.append(nobody, Action.SETTINGS_WRITE.value, subject, Outcome.DENIED, reason=why)
        raise Forbidden(why)
    return made


def list_tokens(stores: Stores, actor: Actor) -> tuple[Token, ...]:
    """All ever issued, oldest first; never their texts."""
    stores.audit.require(actor, Action.SETTINGS_WRITE, "tokens")
    return stores.tokens.list()


def revoke_token(stores: Stores, actor: Actor, token_id: str, *, reason: str = "") -> Token:
    """Ends a token at once, for work that already waits too. Raises Forbidden, NotFound."""
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, f"token {token_id}", reason=reason) as record:
        token = stores.tokens.revoke(token_id, by=actor.name, now=_now())
        record.after = {"token": token.id, "name": token.name}
    return token


def require_valid_token(
    stores: Stores, actor: Actor, action: Action, subject: str, *, scheduled: bool, created: datetime | None = None
) -> None:
    """Work ends with the token by which it was asked for: the refusal is recorded.

    Where people sign in, what is *scheduled* needs a token, and so does what was asked for before that (*created*):
    by a demo identity. Raises NotSignedIn.
    """
    try:
        if actor.token is None:
            _require_none_needed(stores, actor, scheduled, created)
            return
        try:
            require_valid(stores.tokens.get(actor.token), _now())
        except NotFound as error:
            raise NotSignedIn(f"The token {actor.token} of {actor.name} is not there any more.") from error
    except NotSignedIn as error:
        stores.audit.append(actor, action.value, subject, Outcome.DENIED, reason=str(error))
        raise


def token_owner(stores: Stores, actor: Actor, text: str, action: Action) -> Actor:
    """For whom scheduled work is done: who holds the token *text*; without one *actor*, where nobody signs in.

    Only the token's id goes with it. Raises NotSignedIn (needed and missing, unknown, expired, revoked), Forbidden
    (the token may not do *action*).
    """
    owner = stores.tokens.actor(text, _now()) if text.strip() else actor
    if owner.token is None and is_provider_enabled(stores):
        raise NotSignedIn(
            "A schedule acts by a token, which ends when it expires or is revoked: name one of the role scientist; an "
            "admin issues it."
        )
    require(owner, action)
    return owner


def _require_none_needed(stores: Stores, actor: Actor, scheduled: bool, created: datetime | None) -> None:
    if scheduled and is_provider_enabled(stores):
        raise NotSignedIn(
            f"This schedule of {actor.name} acts by no token, and people sign in here: make it again with a token."
        )
    since = provider_enabled_since(stores)
    if since is not None and created is not None and created < since:
        raise NotSignedIn(f"{actor.name} asked for this before people signed in here; ask for it again, signed in.")


def _checked(name: str, role: Role, days: int, allow_decisions: bool) -> tuple[str, datetime]:
    """The name as it is kept, and when the token ends."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not name or not name.isprintable() or len(name) > 200:
        raise BadName("A token needs a name of up to 200 printable characters: who or what acts by it.", name=name)
    if role is Role.MANAGER and not allow_decisions:
        raise BadParameter(
            "A manager's token decides on promotions without a person; say that it is meant: --allow-decisions on the "
            "command line, the tick on the page Settings.",
            role=role.value,
        )
    if not 1 <= days <= MAX_DAYS:
        raise BadParameter(f"A token holds 1 to {MAX_DAYS} days, not {days}.", days=days)
    return name, _now() + timedelta(days=days)


def _now() -> datetime:
    return datetime.now(UTC)
