"""Commands for identities: token issue, token list, token revoke, and allow-demo."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from core.commands import output
from core.commands.options import As, Json, OptionalReason, Reason, get_actor, get_stores, write_answer
from core.entities import Role, Token
from core.features.admin import tokens
from core.features.admin.sign_in import allow_demo as allow


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Issue, list and revoke tokens for MODELLEDGER_TOKEN.")
    for name, command in (("issue", issue), ("list", list_all), ("revoke", revoke)):
        group.command(name)(command)
    app.command("allow-demo")(allow_demo)
    app.add_typer(group, name="token")


def issue(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Person or program that acts by the token.")],
    role: Annotated[Role, typer.Option(help="Role of the token.")],
    days: Annotated[int, typer.Option(help=f"Days until the token expires, at most {tokens.MAX_DAYS}.")] = 90,
    allow_decisions: Annotated[
        bool, typer.Option("--allow-decisions", help="Confirm that a manager's token may decide on promotions.")
    ] = False,
    first: Annotated[
        bool, typer.Option("--first", help="Issue the first admin's token, while there is no token.")
    ] = False,
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Issue a token and print its text, which is not stored."""
    if first:
        if role is not Role.ADMIN or as_ is not None:
            raise typer.BadParameter("--first issues an admin's token: use --role admin, and do not use --as.")
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
    # The only output that contains a secret on purpose.
    output.write_answer(_document(token) | {"token": text}, as_json=as_json)


def list_all(as_: As = None, as_json: Json = False) -> None:
    """List all tokens ever issued, without their texts."""
    write_answer([_document(token) for token in tokens.list_tokens(get_stores(), get_actor(as_))], as_json=as_json)


def revoke(
    token_id: Annotated[str, typer.Argument(metavar="ID", help="Token id.")],
    reason: OptionalReason = "",
    as_: As = None,
    as_json: Json = False,
) -> None:
    """Revoke a token at once, also for its jobs and schedules."""
    write_answer(_document(tokens.revoke_token(get_stores(), get_actor(as_), token_id, reason=reason)), as_json=as_json)


def _document(token: Token) -> dict[str, Any]:
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


def allow_demo(reason: Reason, as_: As = None, as_json: Json = False) -> None:
    """Accept demo identities again after the sign-in provider was removed."""
    allow(get_stores(), get_actor(as_), reason=reason)
    write_answer({"demo_identities": True}, as_json=as_json)
