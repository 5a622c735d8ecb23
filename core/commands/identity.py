"""The command allow-demo: accept demo identities again after the sign-in provider was removed."""

from __future__ import annotations

import typer

from core.commands.options import As, Json, Reason, get_actor, get_stores, write_answer
from core.features.admin.sign_in import allow_demo as allow


def add_to(app: typer.Typer) -> None:
    app.command("allow-demo")(allow_demo)


def allow_demo(reason: Reason, as_: As = None, as_json: Json = False) -> None:
    """Accept demo identities again after the sign-in provider was removed."""
    allow(get_stores(), get_actor(as_), reason=reason)
    write_answer({"demo_identities": True}, as_json=as_json)
