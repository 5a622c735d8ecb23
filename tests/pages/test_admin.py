"""The page Settings: tokens issued, shown once and revoked; who gets which role; told to those who may not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor, Outcome, Role, Token
from core.features.admin.tokens import issue_token
from core.features.stores import Stores
from core.settings import load_settings
from tests.pages.conftest import Opened, said


def press(test: AppTest, label: str) -> AppTest:
    return next(button for button in test.button if button.label == label).click().run()


def field(test: AppTest, label: str) -> object:
    found = [*test.text_input, *test.number_input, *test.selectbox, *test.checkbox]
    return next(one for one in found if one.label == label)


def issued(test: AppTest, name: str, role: Role, *, meant: bool = False) -> AppTest:
    test.selectbox(key="admin_token_role").set_value(role).run()
    field(test, "Name").set_value(name)  # type: ignore[attr-defined]
    field(test, "Days").set_value(7)  # type: ignore[attr-defined]
    field(test, "Reason").set_value("nightly scoring")  # type: ignore[attr-defined]
    if meant:
        field(test, "Allow decisions without a person").set_value(True)  # type: ignore[attr-defined]
    return press(test, "Issue token")


def listed(test: AppTest) -> list[dict[str, object]]:
    return next(one.value for one in test.dataframe if "Issued by" in one.value).to_dict("records")


def texts_shown(test: AppTest) -> list[str]:
    return [one.value for one in test.code if one.value.startswith("mlt_")]


def given(stores: Stores, admin: Actor, name: str, *, days: int = 7) -> tuple[Token, str]:
    return issue_token(stores, admin, name=name, role=Role.SCIENTIST, days=days)


def test_an_issued_token_is_listed_and_acts(opened: Opened, stores: Stores) -> None:
    test = issued(opened("admin", "admin"), "nightly", Role.SCIENTIST)
    assert not test.exception
    (text,) = texts_shown(test)
    actor = stores.tokens.actor(text, datetime.now(UTC))
    assert (actor.name, actor.roles) == ("token:nightly", frozenset({Role.SCIENTIST}))
    (row,) = listed(test)
    assert (row["State"], row["Name"], row["Role"], row["Issued by"]) == ("● valid", "nightly", "◐ scientist", "admin")
    assert (row["Expires"] - row["Created"]).round("s") == timedelta(days=7)
    (event,) = stores.audit.search(action="settings.write", outcome=Outcome.SUCCESS.value)
    assert (event.actor, event.subject, event.reason) == ("admin", "token of nightly", "nightly scoring")


def test_its_text_is_shown_once_and_kept_nowhere(opened: Opened, stores: Stores, home: Path) -> None:
    test = issued(opened("admin", "admin"), "nightly", Role.AUDITOR)
    (text,) = texts_shown(test)
    kept = json.dumps({name: repr(value) for name, value in test.session_state._state.filtered_state.items()})
    assert text not in kept
    assert text not in json.dumps({name: str(value) for name, value in test.query_params.items()})
    test.run()
    assert texts_shown(test) == []
    assert text not in said(test)
    assert texts_shown(opened("admin", "admin")) == []
    files = [path for path in home.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if text.encode() in path.read_bytes()] == []


def test_a_token_that_decides_must_be_meant(opened: Opened, stores: Stores) -> None:
    test = issued(opened("admin", "admin"), "robot", Role.MANAGER)
    assert "Confirm that you want this" in said(test)
    assert texts_shown(test) == []
    assert stores.tokens.list() == ()
    issued(test, "robot", Role.MANAGER, meant=True)
    assert [(token.name, token.role) for token in stores.tokens.list()] == [("robot", Role.MANAGER)]


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SCIENTIST, Role.ADMIN])
def test_the_tick_is_off_and_explained_for_roles_that_never_decide(opened: Opened, role: Role) -> None:
    test = opened("admin", "admin")
    test.selectbox(key="admin_token_role").set_value(role).run()
    assert field(test, "Allow decisions without a person").disabled  # type: ignore[attr-defined]
    assert f"A token of the role {role.value} cannot approve" in said(test)


def test_a_token_without_a_name_is_refused_in_one_sentence(opened: Opened, stores: Stores) -> None:
    test = issued(opened("admin", "admin"), "  ", Role.AUDITOR)
    assert "A token needs a name" in said(test)
    assert stores.tokens.list() == ()


def test_an_admin_revokes_with_a_reason(opened: Opened, stores: Stores, admin: Actor) -> None:
    token, _ = given(stores, admin, "nightly")
    test = opened("admin", "admin")
    field(test, "Token to revoke").set_value(token.id)  # type: ignore[attr-defined]
    press(test, "Revoke token")
    assert stores.tokens.get(token.id).revoked is None, "not without a reason"
    assert "reason" in said(test)
    field(test, "Token to revoke").set_value(token.id)  # type: ignore[attr-defined]
    field(test, "Reason for revoking").set_value("left the team")  # type: ignore[attr-defined]
    press(test, "Revoke token")
    assert stores.tokens.get(token.id).revoked_by == "admin"
    (row,) = listed(test)
    assert (row["State"], row["Revoked by"]) == ("✕ revoked", "admin")
    assert stores.audit.search(subject=f"token {token.id}", outcome=Outcome.SUCCESS.value)[0].reason == "left the team"
    assert "Revoke token" not in [button.label for button in test.button], "nothing is left to revoke"


def test_an_expired_token_says_so_and_is_not_offered(opened: Opened, stores: Stores) -> None:
    now = datetime.now(UTC)
    stores.tokens.issue(
        name="old", role=Role.AUDITOR, issued_by="root", now=now - timedelta(days=9), expires=now - timedelta(days=1)
    )
    test = opened("admin", "admin")
    assert [row["State"] for row in listed(test)] == ["○ expired"]
    assert "Revoke token" not in [button.label for button in test.button]


def test_an_auditor_sees_settings_and_is_told_who_issues(opened: Opened, stores: Stores, admin: Actor) -> None:
    given(stores, admin, "nightly")
    test = opened("admin", "auditor")
    assert "Only admins can issue, list and revoke tokens" in said(test)
    assert not test.main.button
    assert not any("Issued by" in one.value for one in test.dataframe)


def test_without_a_provider_the_demo_identities_are_named(opened: Opened) -> None:
    test = opened("admin", "admin")
    assert "anybody at this machine can act as any demo identity" in said(test)
    shown = next(one.value for one in test.dataframe if "Demo identity" in one.value)
    assert list(shown["Demo identity"]) == ["auditor", "scientist", "manager", "manager2", "admin"]


AUTH = """
[auth]
redirect_uri = "https://ledger.bank.example/oauth2callback"
cookie_secret = "c00kie-canary"
client_id = "modelledger"
client_secret = "cl1ent-canary"
server_metadata_url = "https://login.bank.example/.well-known/openid-configuration"
"""
TWO = """
[auth]
redirect_uri = "https://ledger.bank.example/oauth2callback"
cookie_secret = "c00kie-canary"
[auth.bank]
client_secret = "cl1ent-canary"
server_metadata_url = "https://login.bank.example/a"
[auth.partner]
client_secret = "cl1ent-canary"
server_metadata_url = "https://user:s3cret@login.partner.example/b"
"""


@pytest.mark.parametrize(
    ("content", "providers"),
    [
        (AUTH, {"auth": "https://login.bank.example/.well-known/openid-configuration"}),
        (TWO, {"bank": "https://login.bank.example/a", "partner": "https://user:***@login.partner.example/b"}),
        (
            AUTH + '[auth.client_kwargs]\nscope = "openid email"\n',
            {"auth": "https://login.bank.example/.well-known/openid-configuration"},
        ),
        ("", {}),
        ("[other]\nx = 1\n", {}),
    ],
)
def test_settings_name_the_providers_and_no_secret(
    tmp_path: Path, home: Path, content: str, providers: dict[str, str]
) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(content)
    settings = load_settings(home=home, secrets=file)
    assert settings.sign_in_providers == providers
    assert settings.has_sign_in is bool(providers)


def test_with_a_provider_it_and_the_groups_of_each_role_are_shown(tmp_path: Path, home: Path) -> None:
    """The view alone: who looks at it signed in, which AppTest cannot."""
    file = tmp_path / "secrets.toml"
    file.write_text(AUTH)

    def view(file: str) -> None:
        from core.settings import load_settings
        from pages._admin import identity_views

        roles = {"Model Risk": "manager", "=IT :red[x]": "admin"}
        identity_views.draw(load_settings(secrets=file, roles=roles, roles_claim="realm_access.roles"))

    test = AppTest.from_function(view, args=(str(file),)).run()
    assert not test.exception
    shown = [one.value.to_dict("records") for one in test.dataframe]
    assert shown == [
        [{"Provider": "auth", "Metadata": "https://login.bank.example/.well-known/openid-configuration"}],
        [{"Group": "Model Risk", "Role": "● manager"}, {"Group": "'=IT :red[x]", "Role": "▲ admin"}],
    ]
    assert "realm\\_access\\.roles" in said(test)
    assert "No group is mapped to these roles: auditor, scientist." in said(test)
    assert "canary" not in str(test)
