"""The session: its actor, the guard of every page, and the stores. The only module of pages that opens stores."""

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
from core.features.history.moment import Moment
from core.features.stores import Stores
from core.logs import start_request
from core.settings import Settings, load_settings
from pages._ui import messages, navigation, sign_in
from pages._ui.moment import chosen, views
from pages._ui.texts import t

# Set while app.py runs a page, after app.py has drawn the banner and the identity. A page opened cold draws its own.
_run = threading.local()


@contextmanager
def app_run() -> Iterator[Actor]:
    """Surround a run of app.py: draw the banner and the identity once and yield the actor."""
    _run.actor = None
    navigation.go_through_app()
    try:
        actor = _identify()
    except CoreError as error:
        # An earlier navigation must not stay. Drawn after a button, a navigation would change the button's identity.
        navigation.for_nobody()
        _refuse(error)
    _run.actor = actor
    _bind_ids(actor)
    views.chooser()
    try:
        yield actor
    finally:
        _run.actor = None


def require(action: Action) -> Actor:
    """Return the actor who may do *action*; otherwise show the refusal and end the page.

    This guard is the first line of every page. Where an earlier moment is chosen, a banner names it.
    """
    actor: Actor | None = getattr(_run, "actor", None)
    if actor is None:
        navigation.go_through_app()
        try:
            actor = _identify()
        except CoreError as error:
            _refuse(error)
        _bind_ids(actor)
        views.chooser()
    try:
        _require_once(actor, action)
    except CoreError as error:
        messages.show_error(error)
        st.stop()
    with messages.stop_on_error():
        views.banner(_opened_stores())
    return actor


def moment() -> Moment | None:
    """Return the earlier moment that the page shows, after `require`; None for the present state."""
    return chosen.moment()


def may(actor: Actor, action: Action) -> bool:
    """Return whether to offer a form. The service checks the permission again."""
    return is_allowed(actor, action)


def sign_in_check() -> Callable[[], None]:
    """Return a check that the present actor is still signed in, for code that runs without the page's guard.

    The check raises NotSignedIn after expiry or sign-out, and Forbidden where demo identities are no longer accepted.
    """
    stores = _opened_stores()
    if _settings().has_sign_in:
        return sign_in.sign_in_check(stores)
    return lambda: refuse_demo(stores)


def stores() -> Stores:
    """Return the stores of this server, opened once. An error of the settings or the database ends the page.

    A page continues where the engine cannot be used, because it can show what needs no rows; it shows a warning.
    """
    with messages.stop_on_error():
        opened = _opened_stores()
        problem = _engine_problem()
        if problem is not None:
            st.warning(messages.plain(problem), icon=":material/cloud_off:")
        return opened
    raise AssertionError("unreachable: stop_on_error() ends the page")


@st.cache_resource(show_spinner=False, ttl=60)
def _engine_problem() -> str | None:
    """Check the engine once a minute: after Java is installed, the app needs no restart."""
    return engine_problem(_opened_stores())


@st.cache_resource(show_spinner=False)
def _opened_stores() -> Stores:
    return open_stores(load_settings())


def _require_once(actor: Actor, action: Action) -> None:
    """Record a refusal once per session and identity, not at every rerun."""
    refused: dict[tuple[str, str], Forbidden] = st.session_state.setdefault("session.refused", {})
    earlier = refused.get((actor.name, action.value))
    if earlier is not None and not is_allowed(actor, action):
        raise earlier.with_traceback(None)
    try:
        stores().audit.require(actor, action, "page")
    except Forbidden as error:
        refused[actor.name, action.value] = error
        raise


@st.cache_resource(show_spinner=False)
def _settings() -> Settings:
    return load_settings()


def _identify() -> Actor:
    """Return the person who is signed in, or a demo identity where no provider is configured.

    Raises:
        NotSignedIn: nobody is signed in.
        Forbidden: the person has no role, or demo identities are no longer accepted.
        BadSettings: the server is shared and no provider is configured.
    """
    settings = _settings()
    if settings.has_sign_in:
        return sign_in.actor(settings, stores)
    sign_in.require_private_server()
    picker, banner = st.sidebar.empty(), st.empty()
    actor = _demo_actor(picker, banner)
    try:
        # After the picker: a slow call before it is drawn makes the browser drop the identity from the address.
        refuse_demo(_opened_stores())
    except CoreError:
        picker.empty()
        banner.empty()
        raise
    return actor


def _bind_ids(actor: Actor) -> None:
    """Bind the ids of this run, its session and its actor to every line that the run logs."""
    context = get_script_run_ctx()
    start_request(session=context.session_id if context else "", actor=actor.name)


def _refuse(error: CoreError) -> NoReturn:
    sign_in.show_refusal(error, _settings, stores)
    st.stop()


def _demo_actor(picker: DeltaGenerator, banner: DeltaGenerator) -> Actor:
    """Return the demo identity that is chosen in the sidebar; the address keeps it and a banner explains it."""
    name = picker.selectbox(
        t("Acting as"),
        list(DEMO_ROLES),
        index=list(DEMO_ROLES).index(DEFAULT_IDENTITY),
        key="as",
        bind="query-params",
        help=t("Demo identities are named after their roles."),
    )
    banner.caption(
        t(
            ":material/badge: **Demo identities.** No sign-in provider is configured, so anybody at this machine can "
            "act in any role. You are **{name}**.",
            name=messages.plain(name),
        )
    )
    return demo_actor(name or DEFAULT_IDENTITY, channel="page")
