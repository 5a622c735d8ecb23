"""Sign-in: who the provider says is here, asked on every run. The only user of st.user."""

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

# How settings call the provider that stands in [auth] itself.
_UNNAMED = "auth"
# By these a proxy says for whom it asks; a browser sends none of them.
_OF_A_PROXY = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")


def actor(settings: Settings, stores: Callable[[], Stores]) -> Actor:
    """The person of this session, whose name and way out are drawn in the sidebar.

    Raises NotSignedIn, Forbidden (somebody without a role), BadSettings; `turn_away` draws what follows from them.
    """
    if st.get_option("server.trustedUserHeaders") not in ({}, "", None):
        raise BadSettings("server.trustedUserHeaders lets any visitor name themselves; take that setting away.")
    claims = _claims()
    if claims is None:
        raise NotSignedIn("Sign in to see anything here.")
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
        raise NotSignedIn("This sign-in was ended; sign in again.")
    enable_provider(stores(), channel="page")
    with st.sidebar:
        roles = ", ".join(sorted(role.value for role in person.roles))
        st.caption(f"Signed in as **{messages.plain(person.name)}** ({roles})")
        _offer_sign_out(stores, claims)
    return person


def presence(stores: Stores) -> Callable[[], None]:
    """Whether the sign-in of this run still holds, asked at any later time and from any thread.

    What it returns raises NotSignedIn.
    """
    claims = _claims()
    if claims is None:
        raise NotSignedIn("Sign in to see anything here.")
    digest, end = sign_in_digest(claims), sign_in_end(claims)

    def still_here() -> None:
        if not datetime.now(UTC) < end:
            raise NotSignedIn(f"The sign-in expired at {end:%Y-%m-%d %H:%M} UTC; sign in again.")
        if stores.sign_outs.holds(digest):
            raise NotSignedIn("This sign-in was ended; sign in again.")

    return still_here


def turn_away(error: CoreError, settings: Callable[[], Settings], stores: Callable[[], Stores]) -> None:
    """All that somebody sees who may see nothing: why, and the buttons that sign in or out."""
    if isinstance(error, NotSignedIn):
        _ask(str(error), tuple(settings().sign_in_providers))
        return
    messages.show_error(error)
    claims = _claims() if isinstance(error, Forbidden) else None
    if claims is not None:
        _offer_sign_out(stores, claims)


def require_private_server() -> None:
    """Raises BadSettings where others could reach a server at which anybody is anybody: by its address, or by a proxy.

    A proxy is told by the host that the browser asked for, or by what it says of the browser that it speaks for.
    """
    if not is_loopback(st.get_option("server.address")):
        raise BadSettings(
            "This server is shared (its address is not loopback) and no sign-in provider is configured, so it shows "
            "nothing: put an [auth] section into .streamlit/secrets.toml, or serve on 127.0.0.1."
        )
    headers = st.context.headers
    host = headers.get("Host")  # None where no browser asks: HTTP does not go without it
    forwarded = [name for name in _OF_A_PROXY if name in headers]
    if forwarded or (host is not None and not is_loopback(urlsplit(f"//{host}").hostname)):
        raise BadSettings(
            "This server is shared (it was reached through a proxy or under another name than this machine's own) and "
            "no sign-in provider is configured, so it shows nothing: put an [auth] section into "
            ".streamlit/secrets.toml, or open it on this machine as http://localhost."
        )


def _claims() -> dict[str, Any] | None:
    """What the provider said, from the cookie that Streamlit has verified; None where nobody is signed in."""
    claims: dict[str, Any] = dict(st.user.to_dict())
    return claims if claims.get("is_logged_in") is True else None


def _provider(settings: Settings, claims: dict[str, Any]) -> str:
    """Which of several providers signed somebody in, by its name in the secrets file; "" where there is one alone.

    Raises NotSignedIn for one that is not configured any more.
    """
    known = settings.sign_in_providers
    if len(known) == 1:
        return ""
    name = _UNNAMED if claims.get("provider") == "default" else str(claims.get("provider"))
    if name not in known:
        raise NotSignedIn("The provider of this sign-in is not configured here any more; sign in again.")
    return name


def _ask(why: str, providers: tuple[str, ...]) -> None:
    """One button for each provider."""
    st.title("ModelLedger")
    escaping.text(why)
    for name in providers:
        label = "Sign in" if len(providers) == 1 else f"Sign in with {messages.plain(name)}"
        kind: Literal["primary", "secondary"] = "primary" if len(providers) == 1 else "secondary"
        if st.button(label, type=kind, icon=":material/login:", key=f"signin.in.{name}"):
            _log_in(None if name == _UNNAMED else name)


def _log_in(provider: str | None) -> None:
    try:
        st.login(provider)
    except StreamlitAPIException as error:
        raise BadSettings(
            "The [auth] section of the secrets file cannot be used; it needs redirect_uri, cookie_secret, "
            "client_id, client_secret and server_metadata_url."
        ) from error


def _offer_sign_out(stores: Callable[[], Stores], claims: dict[str, Any]) -> None:
    if st.button("Sign out", icon=":material/logout:", key="signin.out"):
        # Streamlit's cookie would be good for 30 days wherever a copy of it lies: remembered as ended.
        stores().sign_outs.add(sign_in_digest(claims), expires=sign_in_end(claims), now=datetime.now(UTC))
        st.logout()


def _record_once(stores: Stores, claims: dict[str, Any], error: Forbidden) -> None:
    """Somebody whom the provider knows and who has nothing to do here: one denied event for each sign-in."""
    digest = sign_in_digest(claims)
    if st.session_state.get("signin.refused") != digest:
        name = str(error.values.get("actor") or claims.get("sub") or "somebody")
        nobody = Actor(name=name, roles=frozenset(), channel="page")
        stores.audit.append(nobody, "sign-in", "page", Outcome.DENIED, reason=str(error))
        st.session_state["signin.refused"] = digest
