"""Commands on tokens: token issue, token list, token revoke."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.commands import output
from core.commands.options import As, Json, OptionalReason, get_actor, get_stores, write_answer
from core.entities import Role, Token
from core.features.admin import tokens


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Tokens by which the command line acts: MODELLEDGER_TOKEN.")
    for name, command in (("issue", issue), ("list", list_all), ("revoke", revoke)):
        group.command(name)(command)
    app.add_typer(group, name="token")


def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who or what acts by it.")],
    role: Annotated[Role, typer.Option(help="The one role it holds.")],
    days: Annotated[int, typer.Option(help=f"How long it holds, up to {tokens.MAX_DAYS} days.")] = 90,
    allow_decisions: Annotated[bool, typer.Option("--allow-decisions", help="Needed for role manager.")] = False,
    first: Annotated[
        bool, typer.Option("--first", help="The first admin's, on the server itself, while there is no token yet.")
    ] = False,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Issues a token; its text is printed this once and kept nowhere."""
    if first:
        if role is not Role.ADMIN or as_ is not None:
            raise typer.BadParameter("--first makes an admin's token and takes no --as: use --role admin.")
        token, text = tokens.issue_first_token(get_stores(), name=name, days=days, reason=reason)
    else:
        token, text = tokens.issue_token(
            get_stores(),
            get_actor(as_),
            name=name,
            role=role,
            days=days,
            allow_decisions=allow_decisions,
            reason=reason,
        )
    # The one answer whose secret is what was asked for.
    output.write_answer(_answer(token) | {"token": text}, as_json=as_json)


def list_all(as_: As = None, as_json: Json = False) -> None:
    """All tokens ever issued, without their texts."""
    write_answer([_answer(token) for token in tokens.list_tokens(get_stores(), get_actor(as_))], as_json=as_json)


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID")],
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Ends a token at once, for jobs and schedules that were set up by it too."""
    write_answer(_answer(tokens.revoke_token(get_stores(), get_actor(as_), token_id, reason=reason)), as_json=as_json)


def _answer(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "issued_by": token.issued_by,
        "created": token.created,
        "expires": token.expires,
        "revoked": token.revoked,
        "revoked_by": token.revoked_by,
    }
