"""Tokens: an admin issues, lists and revokes them; the command line and schedules act by them."""

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
    """Issue a token and return it with its text, which is shown only once.

    Raises:
        Forbidden, BadName, BadParameter.
    """
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, f"token of {name}", reason=reason) as record:
        name, expires = _validate(name, role, days, allow_decisions)
        issued = stores.tokens.issue(name=name, role=role, issued_by=actor.name, now=_now(), expires=expires)
        record.after = {"token": issued[0].id, "role": role.value, "expires": expires.isoformat()}
    return issued


def issue_first_token(stores: Stores, *, name: str, days: int, reason: str = "") -> tuple[Token, str]:
    """Issue the token of the first admin, for a person with access to the database, while no token was ever issued.

    In the same transaction sign-in is enabled: demo identities and the tokens that they issued are no longer accepted.

    Raises:
        Forbidden: a token was issued before.
    """
    name, expires = _validate(name, Role.ADMIN, days, allow_decisions=False)
    admin = Actor(name=name, roles=frozenset({Role.ADMIN}), channel=FIRST)
    subject = f"token of {name}"
    with stores.audit.transaction() as connection:
        issued = stores.tokens.issue_first(
            connection, name=name, issued_by=FIRST, now=_now(), expires=expires, but=tuple(DEMO_ROLES)
        )
        if issued is not None:
            after = {"token": issued[0].id, "role": Role.ADMIN.value, "expires": expires.isoformat()}
            stores.audit.append_within(
                connection,
                admin,
                Action.SETTINGS_WRITE.value,
                subject,
                Outcome.SUCCESS,
                reason=reason or FIRST,
                after=after,
            )
            stores.provider.set_within(
                connection, program_actor(FIRST), reason=PROVIDER_ENABLED, ended=tuple(DEMO_ROLES)
            )
    if issued is None:
        error = Forbidden(
            "A token was issued on this database before. To issue another, put an admin's token into MODELLEDGER_TOKEN."
        )
        nobody = Actor(name=name, roles=frozenset(), channel=FIRST)
        stores.audit.append(nobody, Action.SETTINGS_WRITE.value, subject, Outcome.DENIED, reason=str(error))
        raise error
    return issued


def list_tokens(stores: Stores, actor: Actor) -> tuple[Token, ...]:
    """Return all tokens ever issued, oldest first, without their texts."""
    stores.audit.require(actor, Action.SETTINGS_WRITE, "tokens")
    return stores.tokens.list()


def revoke_token(stores: Stores, actor: Actor, token_id: str, *, reason: str = "") -> Token:
    """Revoke a token at once. Queued work of the token is refused too.

    Raises:
        Forbidden, NotFound.
    """
    with stores.audit.recording(actor, Action.SETTINGS_WRITE, f"token {token_id}", reason=reason) as record:
        token = stores.tokens.revoke(token_id, by=actor.name, now=_now())
        record.after = {"token": token.id, "name": token.name}
    return token


def require_valid_token(
    stores: Stores, actor: Actor, action: Action, subject: str, *, scheduled: bool, created: datetime | None = None
) -> None:
    """Require that the token by which work was submitted is still valid. A refusal is recorded.

    Where sign-in is enabled, *scheduled* work needs a token, and work *created* before by a demo identity is refused.

    Raises:
        NotSignedIn.
    """
    try:
        if actor.token is None:
            _require_no_token_needed(stores, actor, scheduled, created)
            return
        try:
            require_valid(stores.tokens.get(actor.token), _now())
        except NotFound as error:
            raise NotSignedIn(
                "Token {token} of {actor} no longer exists.", token=actor.token, actor=actor.name
            ) from error
    except NotSignedIn as error:
        stores.audit.append(actor, action.value, subject, Outcome.DENIED, reason=str(error))
        raise


def token_owner(stores: Stores, actor: Actor, text: str, action: Action) -> Actor:
    """Return the actor of scheduled work: the holder of the token *text*, or *actor* where no token is needed.

    The schedule keeps only the id of the token.

    Raises:
        NotSignedIn: the token is needed and missing, unknown, expired or revoked.
        Forbidden: the token may not do *action*.
    """
    owner = stores.tokens.actor(text, _now()) if text.strip() else actor
    if owner.token is None and is_provider_enabled(stores):
        raise NotSignedIn(
            "A schedule acts by a token and ends with the token. Enter a token with the role scientist; an admin "
            "issues tokens."
        )
    require(owner, action)
    return owner


def _require_no_token_needed(stores: Stores, actor: Actor, scheduled: bool, created: datetime | None) -> None:
    if scheduled and is_provider_enabled(stores):
        raise NotSignedIn(
            "This schedule of {actor} has no token, and sign-in is enabled. Make the schedule again with a token.",
            actor=actor.name,
        )
    since = provider_enabled_since(stores)
    if since is not None and created is not None and created < since:
        raise NotSignedIn(
            "{actor} submitted this work before sign-in was enabled. Sign in and submit it again.", actor=actor.name
        )


def _validate(name: str, role: Role, days: int, allow_decisions: bool) -> tuple[str, datetime]:
    """Return the normalized name and the time at which the token expires."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not name or not name.isprintable() or len(name) > 200:
        raise BadName(
            "A token needs a name of at most 200 printable characters: the person or program that acts by it.",
            name=name,
        )
    if role is Role.MANAGER and not allow_decisions:
        raise BadParameter(
            "A manager's token decides on promotions without a person. Confirm that you want this: --allow-decisions "
            "on the command line, or the checkbox on the page Settings.",
            role=role.value,
        )
    if not 1 <= days <= MAX_DAYS:
        raise BadParameter(
            "A token is valid for 1 to {max_days} days; {days} were requested.", max_days=MAX_DAYS, days=days
        )
    return name, _now() + timedelta(days=days)


def _now() -> datetime:
    return datetime.now(UTC)
