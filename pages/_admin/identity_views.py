"""Who gets which role, on a page: the sign-in provider and its groups, or the demo identities."""

from __future__ import annotations

import streamlit as st

from core.access.identity import DEMO_ROLES
from core.entities import Role
from core.settings import Settings
from pages._ui import escaping, messages


def draw(settings: Settings) -> None:
    """Which provider signs people in and what makes somebody an auditor, a scientist, a manager, an admin."""
    if not settings.has_sign_in:
        st.info(
            "No sign-in provider is configured: the demo identities are in force, and anybody at this machine may act "
            "as any of them. An [auth] section in the secrets file ends that; docs/security.md shows one.",
            icon=":material/badge:",
        )
        escaping.table(
            [{"Demo identity": name, "Role": messages.word(role)} for name, role in DEMO_ROLES.items()],
            style=messages.coloured,
            alt="Demo identities and their roles",
            key="admin_demo",
        )
        return
    escaping.table(
        [{"Provider": name, "Described at": where} for name, where in settings.sign_in_providers.items()],
        alt="Who signs people in",
        key="admin_providers",
    )
    st.caption(
        f"People are named by the claim {messages.plain(settings.name_claim)}; their groups are in the claim "
        f"{messages.plain(settings.roles_claim)}. A role that is given or taken there holds from the next sign-in on."
    )
    if not settings.roles:
        st.warning(
            "No group is mapped to a role, so nobody can do anything here: set MODELLEDGER\\_ROLES.",
            icon=":material/warning:",
        )
        return
    escaping.table(
        [{"Group": group, "Role": messages.word(Role(role))} for group, role in settings.roles.items()],
        style=messages.coloured,
        alt="Groups of the provider and the roles that they give",
        key="admin_roles",
    )
    missing = [role.value for role in Role if role.value not in settings.roles.values()]
    if missing:
        st.caption(f"No group gives the role {', '.join(missing)}.")
