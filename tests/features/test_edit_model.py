"""Descriptions and tags edited: recorded, refused where they are evidence, and never over somebody else's edit."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from mlflow import MlflowClient

from core.bootstrap import open_stores
from core.entities import Actor, Event, ModelVersionKey, Outcome
from core.errors import (
    BadInput,
    ChangedMeanwhile,
    CoreError,
    Forbidden,
    ModelVersionNotFound,
    ReasonMissing,
    Refused,
    RegistryUnavailable,
)
from core.features.monitoring.findings import inspect_registry, list_findings
from core.features.runs.edit_model import describe, remove_tag, set_tag, show_texts
from core.features.stores import Stores
from core.features.takeover.accept_registry import accept_registry

MODEL = "m"
KEY = ModelVersionKey(model=MODEL, version=1)


@pytest.fixture(params=["native", "aliases"])
def registered(request: pytest.FixtureRequest, stores: Stores) -> Stores:
    """A registry with one version, on each implementation."""
    opened = stores
    if request.param == "aliases":
        opened = open_stores(stores.settings.model_copy(update={"registry_stages": "aliases"}))
        assert opened.models.is_stage_an_alias
    client = MlflowClient(opened.settings.tracking_uri)
    client.create_registered_model(MODEL, tags={"team": "risk"}, description="theirs")
    client.create_model_version(MODEL, "s3://nowhere/m", tags={"validated by": "ana", "delta.table": "t"})
    return opened


def events(stores: Stores, outcome: Outcome = Outcome.SUCCESS) -> tuple[Event, ...]:
    return stores.audit.search(action="model.edit", outcome=outcome.value)


def test_an_edit_is_recorded_with_what_was_there_before(registered: Stores, scientist: Actor, manager: Actor) -> None:
    describe(registered, scientist, MODEL, version=1, description="Über <b>", seen="", reason="for the review")
    assert registered.models.version(KEY).description == "Über <b>"
    (event,) = events(registered)
    assert (event.subject, event.actor, event.reason) == ("m/1", "scientist", "for the review")
    assert (event.before["description"], event.after["description"]) == ("", "Über <b>")

    set_tag(registered, manager, MODEL, "validated by", "bo", version=1, reason="r")
    set_tag(registered, manager, MODEL, "new", "", version=1, reason="r")
    remove_tag(registered, manager, MODEL, "new", version=1, reason="r")
    assert registered.models.version(KEY).tags == {"validated by": "bo", "delta.table": "t"}
    removed, added, changed, _ = events(registered)
    assert (changed.before["tags"], changed.after["tags"]) == ({"validated by": "ana"}, {"validated by": "bo"})
    assert (added.before["tags"], added.after["tags"]) == ({"new": None}, {"new": ""})
    assert (removed.before["tags"], removed.after["tags"]) == ({"new": ""}, {"new": None})


def test_the_registered_model_is_edited_too(registered: Stores, scientist: Actor) -> None:
    describe(registered, scientist, MODEL, description="ours", seen="theirs", reason="r")
    done = set_tag(registered, scientist, MODEL, "owner", "ana", reason="r")
    assert show_texts(registered, scientist, MODEL) == done
    assert (done.description, dict(done.tags)) == ("ours", {"team": "risk", "owner": "ana"})
    assert {event.subject for event in events(registered)} == {"m"}


def test_who_saw_an_older_text_is_told_and_nothing_is_lost(
    registered: Stores, scientist: Actor, manager: Actor
) -> None:
    seen = show_texts(registered, scientist, MODEL, version=1)
    describe(registered, manager, MODEL, version=1, description="the manager's", seen=seen.description, reason="r")
    with pytest.raises(ChangedMeanwhile, match="It is now: the manager's"):
        describe(registered, scientist, MODEL, version=1, description="mine", seen=seen.description, reason="r")
    set_tag(registered, manager, MODEL, "validated by", "bo", version=1, seen=seen.tags, reason="r")
    for edit in (
        lambda: set_tag(registered, scientist, MODEL, "validated by", "cy", version=1, seen=seen.tags, reason="r"),
        lambda: remove_tag(registered, scientist, MODEL, "validated by", version=1, seen=seen.tags, reason="r"),
        lambda: set_tag(registered, scientist, MODEL, "validated by", "cy", version=1, seen={}, reason="r"),
    ):
        with pytest.raises(ChangedMeanwhile, match="It is now: bo"):
            edit()
    current = registered.models.version(KEY)
    assert (current.description, current.tags["validated by"]) == ("the manager's", "bo")
    assert len(events(registered, Outcome.DENIED)) == 4


def test_of_many_people_who_saw_the_same_text_one_saves(registered: Stores, scientist: Actor) -> None:
    ended: list[object] = []

    def save(number: int) -> None:
        try:
            who = replace(scientist, name=f"person {number}")
            describe(registered, who, MODEL, version=1, description=f"text {number}", seen="", reason="r")
            ended.append(number)
        except CoreError as error:
            ended.append(type(error))

    threads = [threading.Thread(target=save, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (saved,) = [one for one in ended if isinstance(one, int)]
    assert [one for one in ended if one != saved] == [ChangedMeanwhile] * 3
    assert registered.models.version(KEY).description == f"text {saved}"


def test_tags_of_mlflow_and_modelledger_are_refused(stores: Stores, scientist: Actor) -> None:
    MlflowClient(stores.settings.tracking_uri).create_registered_model(MODEL)
    own = ("delta.table", "mlflow.user", "MLflow.note", "modelledger.channel", "stage", "recipe", "task", "model.name")
    for name in own:
        with pytest.raises(Refused, match=f"The tag {name} belongs to MLflow or ModelLedger"):
            set_tag(stores, scientist, MODEL, name, "x", reason="r")
    with pytest.raises(Refused, match="belongs to MLflow or ModelLedger"):
        remove_tag(stores, scientist, MODEL, own[0], reason="r")


def test_tags_that_a_team_names_as_claims_about_data_are_refused(stores: Stores, scientist: Actor) -> None:
    claims = [{"version": "tags.dvc.rev", "table": "tags.dvc.path"}, {"version": "commit_of_data", "table": "t"}]
    claiming = replace(stores, settings=stores.settings.model_copy(update={"claims": claims}))
    MlflowClient(stores.settings.tracking_uri).create_registered_model(MODEL)
    for name in ("dvc.rev", "dvc.path", "commit_of_data"):
        with pytest.raises(Refused, match="what a model was trained on"):
            set_tag(claiming, scientist, MODEL, name, "x", reason="r")
    set_tag(claiming, scientist, MODEL, "dvc.other", "x", reason="r")


def test_limits_and_mistakes_are_said_in_one_sentence(registered: Stores, scientist: Actor) -> None:
    def refused(sentence: str, **values: object) -> None:
        with pytest.raises(BadInput, match=sentence):
            set_tag(registered, scientist, MODEL, **{"reason": "r", "name": "n", "value": "v", **values})  # type: ignore[arg-type]

    with pytest.raises(BadInput, match=r"has 5,001 characters\. MLflow keeps at most 5,000"):
        describe(registered, scientist, MODEL, version=1, description="x" * 5_001, reason="r")
    describe(registered, scientist, MODEL, version=1, description="x" * 5_000, reason="r")
    with pytest.raises(BadInput, match="has this description already"):
        describe(registered, scientist, MODEL, version=1, description="x" * 5_000, reason="r")
    refused("name of the tag has 251 characters", name="n" * 251)
    refused("A tag needs a name", name=" ")
    refused("value of the tag has 5,001 characters", value="v" * 5_001)
    refused("value of the tag has 100,001 characters", value="v" * 100_001, version=1)
    refused("has this value already", name="team", value="risk")
    refused("MLflow rejects this", name="a=b")
    with pytest.raises(BadInput, match="m/1 has no tag nobody"):
        remove_tag(registered, scientist, MODEL, "nobody", version=1, reason="r")
    with pytest.raises(ReasonMissing):
        describe(registered, scientist, MODEL, description="d", reason=" ")
    with pytest.raises(ModelVersionNotFound):
        describe(registered, scientist, MODEL, version=9, description="d", reason="r")
    # What no database stores becomes a mark, in MLflow as in the log.
    set_tag(registered, scientist, MODEL, "odd", "a\x00b\ud800", version=1, reason="r")
    assert registered.models.version(KEY).tags["odd"] == "a�b�"


def test_auditors_and_admins_edit_nothing(registered: Stores, auditor: Actor, admin: Actor) -> None:
    for person in (auditor, admin):
        with pytest.raises(Forbidden):
            describe(registered, person, MODEL, description="d", reason="r")
    assert registered.models.model(MODEL).description == "theirs"


def test_an_outage_is_said_and_recorded_as_failed(
    registered: Stores, scientist: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object) -> None:
        raise RegistryUnavailable("MLflow does not answer.", in_flight=True)

    monkeypatch.setattr(registered.models, "set_tag", down)
    with pytest.raises(RegistryUnavailable):
        set_tag(registered, scientist, MODEL, "owner", "ana", version=1, reason="r")
    (event,) = events(registered, Outcome.FAILED)
    assert event.before["intended"] == {"tags": {"owner": "ana"}}


def findings(stores: Stores, auditor: Actor) -> list[str]:
    inspect_registry(stores, auditor)
    return [finding.detail for finding in list_findings(stores, auditor)]


def test_our_own_edit_is_not_a_change_outside_and_a_later_one_is(
    registered: Stores, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    accept_registry(registered, manager, reason="as found")
    assert findings(registered, auditor) == []
    set_tag(registered, scientist, MODEL, "validated by", "bo " * 200, version=1, reason="r")
    set_tag(registered, scientist, MODEL, "owner", "ana", version=1, reason="r")
    set_tag(registered, scientist, MODEL, "owner", "bo", version=1, reason="r")
    describe(registered, scientist, MODEL, version=1, description="text", reason="r")
    assert findings(registered, auditor) == []
    remove_tag(registered, scientist, MODEL, "validated by", version=1, reason="r")
    assert findings(registered, auditor) == []

    client = MlflowClient(registered.settings.tracking_uri)
    client.set_model_version_tag(MODEL, "1", "owner", "eve")
    (told,) = findings(registered, auditor)
    assert "The tag owner of m/1 was changed outside ModelLedger" in told


def test_an_edit_that_took_effect_without_an_answer_is_not_a_change_outside(
    registered: Stores, scientist: Actor, manager: Actor, auditor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_registry(registered, manager, reason="as found")
    change = registered.models.set_tag

    def unanswered(*arguments: object) -> None:
        change(*arguments)  # type: ignore[arg-type]
        raise RegistryUnavailable("MLflow does not answer.")

    monkeypatch.setattr(registered.models, "set_tag", unanswered)
    with pytest.raises(RegistryUnavailable):
        set_tag(registered, scientist, MODEL, "validated by", "bo", version=1, reason="r")
    assert registered.models.version(KEY).tags["validated by"] == "bo"
    assert findings(registered, auditor) == []
    MlflowClient(registered.settings.tracking_uri).set_model_version_tag(MODEL, "1", "validated by", "eve")
    (told,) = findings(registered, auditor)
    assert "validated by" in told
