"""Separation of duties: nobody gives a second yes, or a yes to what they asked for, by a token or another spelling."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.bootstrap import open_stores
from core.entities import Actor, RequestStatus, Role, Stage
from core.errors import AlreadyDecided, BadName, SelfApproval
from core.features.admin.tokens import issue_first_token, issue_token, list_tokens
from core.features.promotion.decide import approve, reject
from core.features.promotion.four_eyes import may_be_same_person
from core.features.promotion.request_promotion import request_promotion
from core.features.stores import Stores
from core.settings import load_settings

MODEL = "iris_classifier"


def person(name: str, role: Role) -> Actor:
    return Actor(name=name, roles=frozenset({role}), channel="page")


IAN, IDA = person("ian@bank.example", Role.ADMIN), person("ida@bank.example", Role.ADMIN)
ANN, MIA = person("ann@bank.example", Role.SCIENTIST), person("mia@bank.example", Role.MANAGER)


def by_token(stores: Stores, issuer: Actor, name: str, role: Role) -> Actor:
    """Who acts by a new token of that name."""
    _, text = issue_token(stores, issuer, name=name, role=role, days=1, allow_decisions=True)
    return stores.tokens.actor(text, datetime.now(UTC))


@pytest.fixture
def two_needed(sample: Path) -> Stores:
    return open_stores(load_settings(home=sample, approvals={MODEL: 2}))


def ask(stores: Stores, who: Actor) -> str:
    return request_promotion(stores, who, model=MODEL, version=1, to=Stage.PRODUCTION, reason="ready").id


def test_one_admin_with_two_tokens_gives_one_yes(two_needed: Stores) -> None:
    request = ask(two_needed, ANN)
    approve(two_needed, by_token(two_needed, IAN, "a", Role.MANAGER), request, reason="yes")
    with pytest.raises(AlreadyDecided, match="Another person must approve"):
        approve(two_needed, by_token(two_needed, IAN, "b", Role.MANAGER), request, reason="yes")
    with pytest.raises(AlreadyDecided, match="at most one approval may come from a token"):
        approve(two_needed, by_token(two_needed, IDA, "c", Role.MANAGER), request, reason="yes")
    with pytest.raises(AlreadyDecided, match="both may be the same person"):
        approve(two_needed, replace(IAN, roles=frozenset({Role.MANAGER})), request, reason="yes")
    assert approve(two_needed, MIA, request, reason="yes").status is RequestStatus.APPROVED


def test_who_asked_decides_by_no_token_and_no_other_spelling(sample_stores: Stores) -> None:
    request = ask(sample_stores, ANN)
    for decider in (
        replace(MIA, name="ann@bank.example"),
        replace(MIA, name=" Ann@Bank.Example "),
        replace(MIA, name="ａnn@bank.example"),
        by_token(sample_stores, IAN, "ann@bank.example", Role.MANAGER),
        by_token(sample_stores, replace(ANN, roles=frozenset({Role.ADMIN})), "robot", Role.MANAGER),
    ):
        for verb in (approve, reject):
            with pytest.raises(
                SelfApproval, match=r"requested Production for iris_classifier/1\. Another person must decide"
            ):
                verb(sample_stores, decider, request, reason="r")
    assert reject(sample_stores, MIA, request, reason="r").status is RequestStatus.REJECTED


def test_one_issuer_stands_behind_all_that_was_issued_on(sample_stores: Stores) -> None:
    """The first admin's token issues an admin's, which issues a manager's: the first one can act by all of them."""
    root = sample_stores.tokens.actor(issue_first_token(sample_stores, name="root", days=1)[1], datetime.now(UTC))
    second = by_token(sample_stores, root, "second", Role.ADMIN)
    asker = by_token(sample_stores, root, "nightly", Role.SCIENTIST)
    request = ask(sample_stores, asker)
    with pytest.raises(SelfApproval, match="may be the same person"):
        approve(sample_stores, by_token(sample_stores, second, "robot", Role.MANAGER), request, reason="r")
    others = by_token(sample_stores, IDA, "other robot", Role.MANAGER)
    assert approve(sample_stores, others, request, reason="r").status is RequestStatus.APPROVED


def test_names_of_tokens_are_kept_in_one_spelling(stores: Stores) -> None:
    for name in (" ann ", "ａnn", "ann"):
        issue_token(stores, IAN, name=name, role=Role.AUDITOR, days=1)
    assert {token.name for token in list_tokens(stores, IAN)} == {"ann"}
    with pytest.raises(BadName):
        issue_token(stores, IAN, name="\u2003", role=Role.AUDITOR, days=1)


def test_one_person_at_two_providers_is_one_person(home: Path, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets.toml"
    secrets.write_text('[auth]\n[auth.bank]\nclient_id = "a"\n[auth.partner]\nclient_id = "b"\n')
    stores = open_stores(load_settings(home=home, secrets=secrets))
    assert may_be_same_person(stores, "ann@bank.example (bank)", "ann@bank.example (partner)")
    assert not may_be_same_person(stores, "ann@bank.example (bank)", "mia@bank.example (bank)")
    assert not may_be_same_person(stores, "Ann (Risk)", "Ann (IT)")
