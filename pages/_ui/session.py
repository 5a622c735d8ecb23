"""The session: who is here, the guard of every page, the stores. The only user of bootstrap."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.access.identity import DEFAULT_IDENTITY, DEMO_ROLES, demo_actor
from core.access.permissions import Action, is_allowed
from core.bootstrap import open_stores
from core.entities import Actor
from core.errors import CoreError, Forbidden
from core.features.admin.doctor import engine_problem
from core.features.admin.sign_in import refuse_demo
from core.features.stores import Stores
from core.logs import start_request
from core.settings import Settings, load_settings
from pages._ui import messages, navigation, sign_in

# Set while app.py runs a page: it has drawn the banner and the identity already. A page opened cold draws its own.
_run = threading.local()


@contextmanager
def opened() -> Iterator[Actor]:
    """Around a whole run of app.py: draws banner and identity once and yields who is here."""
    _run.actor = None
    navigation.go_through_app()
    try:
        actor = _identify()
    except CoreError as error:
        # A navigation drawn before must not stay; and drawn after a button, it would change what the button is called.
        navigation.for_nobody()
        _turn_away(error)
    _run.actor = actor
    _bind_ids(actor)
    try:
        yield actor
    finally:
        _run.actor = None


def require(action: Action) -> Actor:
    """The guard: first line of every page. Who is here, if they may do *action*; else says so and ends the page."""
    actor: Actor | None = getattr(_run, "actor", None)
    if actor is None:
        navigation.go_through_app()
        try:
            actor = _identify()
        except CoreError as error:
            _turn_away(error)
        _bind_ids(actor)
    try:
        _require_once(actor, action)
    except CoreError as error:
        messages.show_error(error)
        st.stop()
    return actor


def may(actor: Actor, action: Action) -> bool:
    """Whether to offer a form at all; the service asks again."""
    return is_allowed(actor, action)


def presence() -> Callable[[], None]:
    """Asks again, whenever it is called, whether who is here now still is: for what runs without the page's guard.

    What it returns raises NotSignedIn after expiry or sign-out, Forbidden where demo identities have ended.
    """
    here = _opened_stores()
    if _settings().has_sign_in:
        return sign_in.presence(here)
    return lambda: refuse_demo(here)


def stores() -> Stores:
    """The stores of this server, opened once; a fault of settings or database is told and ends the page.

    An engine that cannot be used here is told on every page, which goes on: what needs no rows is shown.
    """
    with messages.stopping():
        opened = _opened_stores()
        problem = _engine_problem()
        if problem is not None:
            st.warning(messages.plain(problem), icon=":material/cloud_off:")
        return opened
    raise AssertionError("unreachable: stopping() ends the page")


@st.cache_resource(show_spinner=False, ttl=60)
def _engine_problem() -> str | None:
    """Looked at once a minute: whoever installs what is missing need not start the app again."""
    return engine_problem(_opened_stores())


@st.cache_resource(show_spinner=False)
def _opened_stores() -> Stores:
    return open_stores(load_settings())


def _require_once(actor: Actor, action: Action) -> None:
    """A refusal is recorded once per session and identity, not at every rerun."""
    refused: dict[tuple[str, str], str] = st.session_state.setdefault("session.refused", {})
    known = refused.get((actor.name, action.value))
    if known is not None and not is_allowed(actor, action):
        raise Forbidden(known)
    try:
        stores().audit.require(actor, action, "page")
    except Forbidden as error:
        refused[actor.name, action.value] = str(error)
        raise


@st.cache_resource(show_spinner=False)
def _settings() -> Settings:
    return load_settings()


def _identify() -> Actor:
    """Who is signed in; where no provider is configured, a demo identity.

    Raises NotSignedIn, Forbidden, BadSettings.
    """
    settings = _settings()
    if settings.has_sign_in:
        return sign_in.actor(settings, stores)
    sign_in.require_private_server()
    picker, banner = st.sidebar.empty(), st.empty()
    identity = _demo(picker, banner)
    try:
        # Behind the picker: what takes time before it is drawn makes the browser drop the identity from the address.
        refuse_demo(_opened_stores())
    except CoreError:
        picker.empty()
        banner.empty()
        raise
    return identity


def _bind_ids(actor: Actor) -> None:
    """Bind the ids of this run, its session and its actor to all that the run logs."""
    context = get_script_run_ctx()
    start_request(session=context.session_id if context else "", actor=actor.name)


def _turn_away(error: CoreError) -> NoReturn:
    sign_in.turn_away(error, _settings, stores)
    st.stop()


def _demo(picker: DeltaGenerator, banner: DeltaGenerator) -> Actor:
    """The demo identity chosen in the sidebar and kept in the address; a banner says that it is a demo."""
    name = picker.selectbox(
        "Acting as",
        list(DEMO_ROLES),
        index=list(DEMO_ROLES).index(DEFAULT_IDENTITY),
        key="as",
        bind="query-params",
        help="Demo identities, named after their roles.",
    )
    banner.caption(
        ":material/badge: **Demo identities.** No sign-in provider is configured, so anybody at this machine may act "
        f"as any role; you are **{messages.plain(name)}**."
    )
    return demo_actor(name or DEFAULT_IDENTITY, channel="page")
