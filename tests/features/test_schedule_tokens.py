"""Schedules and jobs where people sign in: they need a valid token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.entities import Actor, Role, Token
from core.errors import Forbidden, NotSignedIn, RecipeNotFound
from core.features.admin.sign_in import enable_provider
from core.features.admin.tokens import issue_token, revoke_token
from core.features.jobs.run_job import run_service
from core.features.jobs.schedules import fire_due, list_triggers, save_trigger
from core.features.stores import Stores
from core.jobs.progress import Silent
from core.jobs.store import actor_of
from tests.cli.conftest import Command, command  # noqa: F401 — a fixture, under its own name

RECIPE = "iris_classifier"
ANN = Actor(name="ann@bank.example", roles=frozenset({Role.SCIENTIST}), channel="page")
IAN = Actor(name="ian@bank.example", roles=frozenset({Role.ADMIN}), channel="page")


@pytest.fixture
def signed_in(sample_stores: Stores) -> Stores:
    enable_provider(sample_stores, channel="test")
    return sample_stores


def nightly(stores: Stores, role: Role = Role.SCIENTIST) -> tuple[Token, str]:
    return issue_token(stores, IAN, name="nightly", role=role, days=30, allow_decisions=True)


def tomorrow() -> datetime:
    return datetime.now(UTC) + timedelta(days=1, minutes=2)


def test_a_schedule_without_a_token_is_refused(signed_in: Stores) -> None:
    with pytest.raises(NotSignedIn, match="acts by a token"):
        save_trigger(signed_in, ANN, recipe=RECIPE, cron="0 3 * * *")
    with pytest.raises(NotSignedIn, match="not a token of this server"):
        save_trigger(signed_in, ANN, recipe=RECIPE, cron="0 3 * * *", token="mlt_guessed")
    with pytest.raises(Forbidden, match=r"token:nightly \(manager\) may not do run\.train"):
        save_trigger(signed_in, ANN, recipe=RECIPE, cron="0 3 * * *", token=nightly(signed_in, Role.MANAGER)[1])
    assert signed_in.jobs.triggers.list() == ()


def test_a_schedule_acts_by_its_token_and_keeps_only_the_id(signed_in: Stores, sample: Path) -> None:
    token, text = nightly(signed_in)
    save_trigger(signed_in, ANN, recipe=RECIPE, cron="0 3 * * *", token=text, reason="every night")
    (trigger,) = list_triggers(signed_in, ANN)
    assert (trigger.actor, trigger.role, trigger.token) == ("token:nightly", "scientist", token.id)
    saved = signed_in.audit.search(action="trigger.write", outcome="success")[0]
    assert (saved.actor, saved.after["by"], saved.after["token"]) == (ANN.name, "token:nightly", token.id)
    assert [path for path in sample.rglob("*") if path.is_file() and text.encode() in path.read_bytes()] == []
    (job,) = fire_due(signed_in, tomorrow())
    assert (job.actor, job.token) == ("token:nightly", token.id)


def test_a_schedule_is_turned_off_when_its_token_ends(signed_in: Stores) -> None:
    token, text = nightly(signed_in)
    save_trigger(signed_in, ANN, recipe=RECIPE, cron="0 3 * * *", token=text)
    revoke_token(signed_in, IAN, token.id, reason="ann left")
    assert fire_due(signed_in, tomorrow()) == ()
    assert [trigger.enabled for trigger in list_triggers(signed_in, ANN)] == [False]
    assert "was revoked" in signed_in.audit.search(action="trigger.write", outcome="failed")[0].reason


def test_a_schedule_of_a_demo_identity_ends_when_people_sign_in(sample_stores: Stores, scientist: Actor) -> None:
    save_trigger(sample_stores, scientist, recipe=RECIPE, cron="0 3 * * *")
    enable_provider(sample_stores, channel="test")
    assert fire_due(sample_stores, tomorrow()) == ()
    assert [trigger.enabled for trigger in list_triggers(sample_stores, ANN)] == [False]
    (denied,) = sample_stores.audit.search(action="run.train", outcome="denied")
    assert "has no token" in denied.reason
    assert sample_stores.jobs.list() == ()


def test_a_job_that_a_demo_identity_submitted_is_not_run(stores: Stores, scientist: Actor) -> None:
    before = stores.jobs.submit("train", {"recipe": "none"}, scientist)
    enable_provider(stores, channel="test")
    after = stores.jobs.submit("train", {"recipe": "none"}, ANN)
    scheduled = stores.jobs.submit("train", {"recipe": "none"}, ANN, trigger_id="t")
    for job, words in ((before, "before sign-in was enabled"), (scheduled, "has no token")):
        with pytest.raises(NotSignedIn, match=words):
            run_service(stores, actor_of(job), job.kind, job.arguments, Silent(), job=job)
        assert words in stores.audit.search(outcome="denied")[0].reason
    with pytest.raises(RecipeNotFound):  # an actor who signed in submitted the job, so it starts
        run_service(stores, actor_of(after), after.kind, after.arguments, Silent(), job=after)


def test_the_command_line_schedules_by_its_token(
    signed_in: Stores,
    command: Command,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token, text = nightly(signed_in)
    monkeypatch.setenv("MODELLEDGER_TOKEN", text)
    made = command("schedule", RECIPE, "--cron", "30 2 * * 1", "--reason", "mondays", "--json")
    assert made.code == 0, made.err
    expected = {"recipe": RECIPE, "cron": "30 2 * * 1", "enabled": True, "by": "token:nightly", "token": token.id}
    assert made.json.items() >= expected.items()
    assert command("schedules", "--json").json == [made.json]
    assert command("schedule", RECIPE).code == 1, "neither a cron line nor on new data"
    deleted = command("unschedule", made.json["id"], "--reason", "enough", "--json")
    assert (deleted.code, deleted.json) == (0, {"id": made.json["id"], "deleted": True})
    assert command("schedules", "--json").json == []


def test_the_page_asks_for_a_token_and_hides_what_is_typed(signed_in: Stores) -> None:
    """Only the form: AppTest cannot sign in."""
    token, text = nightly(signed_in)

    def view() -> None:
        from core.bootstrap import open_stores
        from core.features.training.recipes import list_recipes
        from pages._training import training_forms
        from pages._ui import messages
        from tests.features.test_schedule_tokens import ANN

        stores = open_stores()
        with messages.show_errors():
            training_forms.new_schedule(stores, ANN, list_recipes(stores, ANN))

    test = AppTest.from_function(view, default_timeout=60).run()
    field = next(one for one in test.text_input if one.label == "Token of the schedule")
    assert field.proto.type == field.proto.PASSWORD
    test = test.button[0].click().run()
    assert "acts by a token" in test.error[0].value
    next(one for one in test.text_input if one.label == "Token of the schedule").set_value(text)
    next(one for one in test.selectbox if one.label == "Recipe").set_value(RECIPE)
    test = test.button[0].click().run()
    assert [trigger.token for trigger in signed_in.jobs.triggers.list()] == [token.id]
