"""Sign-in with several providers: a button for each, and a person's name says which of them it is from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from core.errors import NotSignedIn
from core.features.stores import Stores
from core.settings import Settings, load_settings
from pages._ui import sign_in
from tests.pages.conftest import Opened, said

ONE = '[auth]\nclient_id = "a"\nserver_metadata_url = "https://login.bank.example/a"\n'
TWO = f'{ONE}[auth.partner]\nclient_id = "b"\nserver_metadata_url = "https://login.partner.example/b"\n'


@pytest.fixture
def configured(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Settings]:
    """Puts the text into the secrets file that the settings name."""

    def put(text: str) -> Settings:
        file = tmp_path / "secrets.toml"
        file.write_text(text)
        monkeypatch.setenv("MODELLEDGER_SECRETS", str(file))
        return load_settings(roles={"Data Science": "scientist"})

    return put


@pytest.mark.parametrize(("text", "labels"), [(ONE, ["Sign in"]), (TWO, ["Sign in with auth", "Sign in with partner"])])
def test_each_provider_has_its_button(
    configured: Callable[[str], Settings], opened: Opened, text: str, labels: list[str]
) -> None:
    configured(text)
    test = opened("audit")
    assert not test.exception
    assert [one.label for one in test.button] == labels
    assert "Sign in to use ModelLedger" in said(test)


def signed_in(settings: Settings, stores: Stores, provider: str, monkeypatch: pytest.MonkeyPatch) -> str:
    claims: dict[str, Any] = {
        "sub": "ann",
        "email": "ann@bank.example",
        "email_verified": True,
        "groups": ["Data Science"],
        "exp": (datetime.now(UTC) + timedelta(minutes=5)).timestamp(),
        "provider": provider,
    }
    monkeypatch.setattr(sign_in, "_claims", lambda: claims)
    monkeypatch.setattr(st, "button", lambda *_, **__: False)
    return sign_in.actor(settings, lambda: stores).name


def test_the_same_address_at_two_providers_is_two_names(
    configured: Callable[[str], Settings], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = configured(TWO)
    assert signed_in(settings, stores, "default", monkeypatch) == "ann@bank.example (auth)"
    assert signed_in(settings, stores, "partner", monkeypatch) == "ann@bank.example (partner)"
    with pytest.raises(NotSignedIn, match="no longer configured"):
        signed_in(settings, stores, "elsewhere", monkeypatch)
    assert signed_in(configured(ONE), stores, "default", monkeypatch) == "ann@bank.example"


def test_a_first_sign_in_ends_the_demo_identities(
    configured: Callable[[str], Settings], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stores.provider.since() is None
    signed_in(configured(ONE), stores, "default", monkeypatch)
    assert stores.provider.since() is not None
    (event,) = stores.audit.search(subject="sign-in provider")
    assert (event.actor, event.channel) == ("modelledger", "page")
