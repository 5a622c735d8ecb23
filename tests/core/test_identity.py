"""Identity: a provider's claims make a person with roles, or are refused with a sentence."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from core.access.identity import actor_from_claims
from core.entities import Actor, Role
from core.errors import BadSettings, Forbidden, NotSignedIn
from core.settings import load_settings

NOW = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
NOON = 1774958400  # NOW in seconds since 1970, counted by `date -u -d 2026-03-31T12:00 +%s`
ROLES = {"Data Science": "scientist", "Model Risk": "manager", "IT": "admin", "Revision": "auditor"}


def signed_in(claim: str = "groups", name_claim: str = "email", options: Any = None, **claims: Any) -> Actor:
    known = {"email": "ann@bank.example", "email_verified": True, "exp": NOON + 1, **claims}
    return actor_from_claims(known, roles=ROLES, roles_claim=claim, name_claim=name_claim, now=NOW, **(options or {}))


def test_groups_become_roles_and_unknown_groups_none() -> None:
    actor = signed_in(groups=["Model Risk", "Canteen", "Revision"])
    assert actor == Actor(name="ann@bank.example", roles=frozenset({Role.MANAGER, Role.AUDITOR}), channel="page")


def test_one_group_may_be_a_word_and_may_lie_deeper() -> None:
    assert signed_in(groups="IT").roles == {Role.ADMIN}
    assert signed_in("realm_access.roles", realm_access={"roles": ["Data Science"]}).roles == {Role.SCIENTIST}
    assert signed_in("https://bank.example/groups", **{"https://bank.example/groups": ["IT"]}).roles == {Role.ADMIN}


@pytest.mark.parametrize("groups", [None, [], ["manager"], ["model risk"], "Model", {"Model Risk": True}, [["IT"]], 7])
def test_no_mapped_group_is_no_role_and_says_so(groups: object) -> None:
    with pytest.raises(Forbidden, match=r"ann@bank\.example is signed in but has no role here"):
        signed_in(groups=groups)


@pytest.mark.parametrize("expires", [NOON, NOON - 1, 0, -1e300, float("nan")])
def test_an_expired_sign_in_is_refused(expires: float) -> None:
    with pytest.raises(NotSignedIn, match="expired"):
        signed_in(groups=["IT"], exp=expires)


@pytest.mark.parametrize("expires", [None, True, "1974958400", [NOON + 10]])
def test_a_sign_in_without_an_end_is_refused(expires: object) -> None:
    with pytest.raises(NotSignedIn, match="has no expiry time"):
        signed_in(groups=["IT"], exp=expires)


def test_one_person_has_one_name() -> None:
    assert signed_in(groups=["IT"], email=" Ann@Bank.example ").name == "ann@bank.example"
    assert signed_in(name_claim="oid", groups=["IT"], oid="A-1").name == "A-1"


@pytest.mark.parametrize(
    "claims",
    [
        {"email": None},
        {"email": ""},
        {"email": ["ann@bank.example"]},
        {"email": "ann\n@bank.example"},
        {"email": "ann\u202e@bank.example"},
        {"email": "a" * 300},
        {"email_verified": False},
        {"email_verified": "false"},
        {"email_verified": None},
        {"email_verified": 1},
        {"email_verified": "True "},
        {"email": "token:ann"},
        {"email": "Token:ann"},
    ],
)
def test_a_name_that_cannot_be_trusted_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Forbidden, match="Ask an admin"):
        signed_in(groups=["IT"], **claims)


def test_an_address_is_verified_by_a_true_or_its_word_or_by_setting() -> None:
    for claim in (True, "true"):
        assert signed_in(groups=["IT"], email_verified=claim).name == "ann@bank.example"
    relaxed = {"accept_unverified": True}
    for claim in (None, False, "false"):
        assert signed_in(groups=["IT"], options=relaxed, email_verified=claim).name == "ann@bank.example"
    assert signed_in(name_claim="oid", groups=["IT"], oid="A-1", email_verified=None).name == "A-1", "no address"
    assert not load_settings().accept_unverified_email


def test_of_several_providers_the_name_says_which() -> None:
    names = {signed_in(groups=["IT"], options={"provider": one}).name for one in ("bank", "partner")}
    assert names == {"ann@bank.example (bank)", "ann@bank.example (partner)"}


def test_sign_in_is_configured_by_an_auth_section(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text("[other]\na = 1\n")
    assert not load_settings(secrets=file).has_sign_in
    file.write_text('[auth]\nclient_id = "x"\n')
    assert load_settings(secrets=file).has_sign_in


def test_a_secrets_file_that_cannot_be_read_is_no_free_entry_and_not_quoted(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    with pytest.raises(BadSettings, match="MODELLEDGER_SECRETS names a file that does not exist"):
        _ = load_settings(secrets=file).has_sign_in
    file.write_text("[auth]\nclient_secret = hunter22\n")
    with pytest.raises(BadSettings, match="cannot be read as TOML") as error:
        _ = load_settings(secrets=file).has_sign_in
    assert "hunter22" not in str(error.value)


def test_a_group_cannot_be_mapped_to_a_role_that_is_not_there() -> None:
    with pytest.raises(BadSettings, match="MODELLEDGER_ROLES"):
        load_settings(roles={"IT": "root"})
