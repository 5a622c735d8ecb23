"""Who may do what: every action for every role, as one table written by hand."""

from __future__ import annotations

import pytest

from core.access.permissions import GRANTS, Action, is_allowed, require, roles_for
from core.entities import Actor, Role
from core.errors import Forbidden

# Columns: auditor, scientist, manager, admin. A reviewer reads this table; the code has to agree with it.
TABLE = {
    "data.read": "x x x x",
    "data.query": "x x x x",
    "data.ingest": ". x . .",
    "run.read": "x x x x",
    "run.train": ". x . .",
    "recipe.write": ". x . .",
    "model.read": "x x x x",
    "model.reproduce": "x x x .",
    "model.compare": "x x x .",
    "model.edit": ". x x .",
    "model.evaluate": "x x x .",
    "model.explain": "x x x .",
    "promotion.read": "x x x x",
    "promotion.request": ". x . .",
    "promotion.decide": ". . x .",
    "promotion.rollback": ". . x .",
    "prediction.read": "x x x x",
    "prediction.score": ". x . .",
    "lineage.read": "x x x x",
    "audit.read": "x x x x",
    "audit.verify": "x x x x",
    "audit.export": "x . x .",
    "reconcile.read": "x x x x",
    "reconcile.resolve": ". . x .",
    "registry.accept": ". . x x",
    "job.read": "x x x x",
    "job.cancel": ". x x x",
    "trigger.write": ". x . .",
    "finding.open": "x . . .",
    "settings.read": "x . . x",
    "settings.write": ". . . x",
    "notification.send": ". . . x",
}
COLUMNS = (Role.AUDITOR, Role.SCIENTIST, Role.MANAGER, Role.ADMIN)
CELLS = [
    (action, role, mark == "x")
    for action, marks in TABLE.items()
    for role, mark in zip(COLUMNS, marks.split(), strict=True)
]


def person(*roles: Role) -> Actor:
    return Actor(name="somebody", roles=frozenset(roles), channel="test")


def test_table_has_every_action_and_every_role() -> None:
    assert set(TABLE) == {action.value for action in Action}
    assert set(COLUMNS) == set(Role) == set(GRANTS)


@pytest.mark.parametrize(("action", "role", "allowed"), CELLS, ids=[f"{a}-{r.value}" for a, r, _ in CELLS])
def test_role_may_do_what_the_table_says(action: str, role: Role, allowed: bool) -> None:
    assert is_allowed(person(role), Action(action)) is allowed
    if allowed:
        require(person(role), Action(action))
    else:
        with pytest.raises(Forbidden):
            require(person(role), Action(action))


@pytest.mark.parametrize("action", Action)
def test_nobody_without_a_role_may_do_anything(action: Action) -> None:
    assert not is_allowed(person(), action)
    with pytest.raises(Forbidden, match="no role"):
        require(person(), action)


def test_two_roles_may_do_what_either_may() -> None:
    both = person(Role.SCIENTIST, Role.MANAGER)
    assert is_allowed(both, Action.RUN_TRAIN)
    assert is_allowed(both, Action.PROMOTION_DECIDE)
    assert not is_allowed(both, Action.SETTINGS_WRITE)


@pytest.mark.parametrize("action", [Action.PROMOTION_DECIDE, Action.PROMOTION_ROLLBACK, Action.RECONCILE_RESOLVE])
def test_deciding_belongs_to_managers_alone(action: Action) -> None:
    assert roles_for(action) == (Role.MANAGER,)


def test_refusal_names_the_person_the_action_and_whom_to_ask() -> None:
    with pytest.raises(Forbidden) as caught:
        require(person(Role.AUDITOR), Action.JOB_CANCEL)
    assert (
        str(caught.value)
        == "somebody (auditor) may not do job.cancel; the action needs the role scientist or manager or admin."
    )
    assert (caught.value.actor, caught.value.action) == ("somebody", "job.cancel")  # type: ignore[attr-defined]
