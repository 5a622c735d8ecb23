"""Sign-in: the person whom the provider names, checked on every run. The only module that reads st.user."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

import streamlit as st
from streamlit.errors import StreamlitAPIException

from core.access.identity import actor_from_claims, is_loopback, sign_in_digest, sign_in_end
from core.entities import Actor, Outcome
from core.errors import BadSettings, CoreError, Forbidden, NotSignedIn
from core.features.admin.sign_in import enable_provider
from core.features.stores import Stores
from core.settings import Settings
from pages._ui import escaping, messages
from pages._ui.texts import t, translated

# The settings' name of the provider in the section [auth] itself.
_UNNAMED = "auth"
# Headers in which a proxy names the client. A browser sends none of them.
_PROXY_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")


def actor(settings: Settings, stores: Callable[[], Stores]) -> Actor:
    """Return the person of this session, and draw their name and the sign-out button in the sidebar.

    `show_refusal` draws the page for each of these errors.

    Raises:
        NotSignedIn: nobody is signed in, or the sign-in was ended.
        Forbidden: the person has no role.
        BadSettings: a setting would let visitors name themselves.
    """
    if st.get_option("server.trustedUserHeaders") not in ({}, "", None):
        raise BadSettings("The setting server.trustedUserHeaders lets any visitor choose their own name. Remove it.")
    claims = _claims()
    if claims is None:
        raise NotSignedIn("Sign in to use ModelLedger.")
    try:
        person = actor_from_claims(
            claims,
            roles=settings.roles,
            roles_claim=settings.roles_claim,
            name_claim=settings.name_claim,
            now=datetime.now(UTC),
            provider=_provider(settings, claims),
            accept_unverified=settings.accept_unverified_email,
        )
    except Forbidden as error:
        _record_once(stores(), claims, error)
        raise
    if stores().sign_outs.holds(sign_in_digest(claims)):
        raise NotSignedIn("This sign-in was ended. Sign in again.")
    enable_provider(stores(), channel="page")
    with st.sidebar:
        roles = ", ".join(sorted(messages.word(role) for role in person.roles))
        st.caption(t("Signed in as **{name}** ({roles})", name=messages.plain(person.name), roles=roles))
        _offer_sign_out(stores, claims)
    return person


def sign_in_check(stores: Stores) -> Callable[[], None]:
    """Return a check that the sign-in of this run still holds; it runs later and in any thread.

    The check raises NotSignedIn.
    """
    claims = _claims()
    if claims is None:
        raise NotSignedIn("Sign in to use ModelLedger.")
    digest, end = sign_in_digest(claims), sign_in_end(claims)

    def require_signed_in() -> None:
        if not datetime.now(UTC) < end:
            raise NotSignedIn("The sign-in expired at {end:%Y-%m-%d %H:%M} UTC. Sign in again.", end=end)
        if stores.sign_outs.holds(digest):
            raise NotSignedIn("This sign-in was ended. Sign in again.")

    return require_signed_in


def show_refusal(error: CoreError, settings: Callable[[], Settings], stores: Callable[[], Stores]) -> None:
    """Show the reason and the buttons that sign in or out, and nothing else."""
    if isinstance(error, NotSignedIn):
        _offer_sign_in(error, tuple(settings().sign_in_providers))
        return
    messages.show_error(error)
    claims = _claims() if isinstance(error, Forbidden) else None
    if claims is not None:
        _offer_sign_out(stores, claims)


def require_private_server() -> None:
    """Raise BadSettings where others can reach this server, by its address or through a proxy.

    Without sign-in anybody can act in any role. A proxy shows in the host that the browser requested, or in the
    headers that name the client.
    """
    if not is_loopback(st.get_option("server.address")):
        raise BadSettings(
            "This server is shared (its address is not a loopback address) and no sign-in provider is configured, so "
            "it shows nothing. Add an [auth] section to .streamlit/secrets.toml, or serve on 127.0.0.1."
        )
    headers = st.context.headers
    host = headers.get("Host")  # None without a browser: every HTTP request has this header
    forwarded = [name for name in _PROXY_HEADERS if name in headers]
    if forwarded or (host is not None and not is_loopback(urlsplit(f"//{host}").hostname)):
        raise BadSettings(
            "This server is shared (the request came through a proxy or to another name than this machine's own) and "
            "no sign-in provider is configured, so it shows nothing. Add an [auth] section to "
            ".streamlit/secrets.toml, or open http://localhost on this machine."
        )


def _claims() -> dict[str, Any] | None:
    """Return the provider's claims from the cookie that Streamlit has verified; None where nobody is signed in."""
    claims: dict[str, Any] = dict(st.user.to_dict())
    return claims if claims.get("is_logged_in") is True else None


def _provider(settings: Settings, claims: dict[str, Any]) -> str:
    """Return the name in the secrets file of the provider that signed the person in; "" where only one is configured.

    Raises NotSignedIn for a provider that is no longer configured.
    """
    providers = settings.sign_in_providers
    if len(providers) == 1:
        return ""
    name = _UNNAMED if claims.get("provider") == "default" else str(claims.get("provider"))
    if name not in providers:
        raise NotSignedIn("The provider of this sign-in is no longer configured. Sign in again.")
    return name


def _offer_sign_in(error: NotSignedIn, providers: tuple[str, ...]) -> None:
    """Draw one button for each provider."""
    st.title(t("ModelLedger"))
    escaping.text(translated(error))
    for name in providers:
        label = t("Sign in") if len(providers) == 1 else t("Sign in with {provider}", provider=messages.plain(name))
        kind: Literal["primary", "secondary"] = "primary" if len(providers) == 1 else "secondary"
        if st.button(label, type=kind, icon=":material/login:", key=f"signin.in.{name}"):
            _log_in(None if name == _UNNAMED else name)


def _log_in(provider: str | None) -> None:
    try:
        st.login(provider)
    except StreamlitAPIException as error:
        raise BadSettings(
            "The [auth] section of the secrets file is incomplete. It needs redirect_uri, cookie_secret, client_id, "
            "client_secret and server_metadata_url."
        ) from error


def _offer_sign_out(stores: Callable[[], Stores], claims: dict[str, Any]) -> None:
    if st.button(t("Sign out"), icon=":material/logout:", key="signin.out"):
        # A copy of Streamlit's cookie would be valid for 30 days: the sign-in is recorded as ended.
        stores().sign_outs.add(sign_in_digest(claims), expires=sign_in_end(claims), now=datetime.now(UTC))
        st.logout()


def _record_once(stores: Stores, claims: dict[str, Any], error: Forbidden) -> None:
    """Record one denied event per sign-in of a person whom the provider knows and who has no role."""
    digest = sign_in_digest(claims)
    if st.session_state.get("signin.refused") != digest:
        name = str(error.values.get("actor") or claims.get("sub") or "somebody")
        nobody = Actor(name=name, roles=frozenset(), channel="page")
        stores.audit.append(nobody, "sign-in", "page", Outcome.DENIED, reason=str(error))
        st.session_state["signin.refused"] = digest
