"""Who a person is where no sign-in provider is configured: the demo identities, named after their roles."""

from __future__ import annotations

from core.entities import Actor, Role
from core.errors import BadInput

DEMO_ROLES: dict[str, Role] = {
    "auditor": Role.AUDITOR,
    "scientist": Role.SCIENTIST,
    "manager": Role.MANAGER,
    "manager2": Role.MANAGER,
    "admin": Role.ADMIN,
}

DEFAULT_IDENTITY = "auditor"


def demo_actor(name: str, *, channel: str) -> Actor:
    """The demo identity *name*. Raises BadInput, which lists them."""
    role = DEMO_ROLES.get(name)
    if role is None:
        raise BadInput(f"There is no demo identity {name!r}; take one of {', '.join(DEMO_ROLES)}.", name=name)
    return Actor(name=name, roles=frozenset({role}), channel=channel)
