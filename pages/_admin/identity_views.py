"""People and roles on a page: the sign-in providers and their groups, or the demo identities."""

from __future__ import annotations

import streamlit as st

from core.access.identity import DEMO_ROLES
from core.entities import Role
from core.settings import Settings
from pages._ui import escaping, messages
from pages._ui.texts import t


def draw(settings: Settings) -> None:
    """Show the providers and which group gives which role, or the demo identities where no provider is configured."""
    if not settings.has_sign_in:
        st.info(
            t(
                "No sign-in provider is configured, so anybody at this machine can act as any demo identity. To change "
                "this, add an [auth] section to the secrets file; docs/security.md shows an example."
            ),
            icon=":material/badge:",
        )
        escaping.table(
            [{t("Demo identity"): name, t("Role"): messages.label(role)} for name, role in DEMO_ROLES.items()],
            style=messages.coloured,
            alt=t("Demo identities and their roles"),
            key="admin_demo",
        )
        return
    escaping.table(
        [{t("Provider"): name, t("Metadata"): url} for name, url in settings.sign_in_providers.items()],
        alt=t("Sign-in providers"),
        key="admin_providers",
    )
    st.caption(
        t(
            "The claim {name_claim} holds a person's name, and the claim {roles_claim} their groups. A change of "
            "groups takes effect with the next sign-in.",
            name_claim=messages.plain(settings.name_claim),
            roles_claim=messages.plain(settings.roles_claim),
        )
    )
    if not settings.roles:
        st.warning(
            t("No group is mapped to a role, so nobody can do anything. Set MODELLEDGER\\_ROLES."),
            icon=":material/warning:",
        )
        return
    escaping.table(
        [{t("Group"): group, t("Role"): messages.label(Role(role))} for group, role in settings.roles.items()],
        style=messages.coloured,
        alt=t("Groups of the provider and their roles"),
        key="admin_roles",
    )
    missing = [messages.word(role) for role in Role if role.value not in settings.roles.values()]
    if missing:
        st.caption(t("No group is mapped to these roles: {roles}.", roles=", ".join(missing)))
