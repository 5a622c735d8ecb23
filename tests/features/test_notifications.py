"""Notifications: which events become messages, who gets them, and delivery in order, at least once, by one worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from core.bootstrap import open_stores
from core.database.engine import Database
from core.database.tables import notification_channels
from core.delivery.progress import NotificationProgress
from core.entities import Actor, Event, Outcome, Severity, Stage
from core.errors import AlreadyDecided, BadSettings, EvidenceChanged, NotDelivered, NotFound
from core.features.admin.doctor import run_checks
from core.features.monitoring.findings import assign_finding, open_finding
from core.features.monitoring.reconcile import resolve_request
from core.features.notifications import sender
from core.features.notifications.channels import read_channels
from core.features.notifications.messages import Kind, read_messages
from core.features.notifications.sender import Sender, sending
from core.features.notifications.status import channel_states, send_test
from core.features.promotion.decide import approve, reject
from core.features.promotion.request_promotion import request_promotion
from core.features.promotion.roll_back import roll_back
from core.features.stores import Stores
from core.settings import load_settings
from tests.features.forked import start
from tests.features.test_evidence import edit_metric, left
from tests.features.test_worker import until
from tests.receivers import SECRET, Hook, certificate, hook, mailbox

HOOK = {"name": "hook", "kind": "webhook", "url_env": "HOOK_URL", "secret_env": "HOOK_SECRET"}
MODEL = "iris_classifier"


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as running:
        yield running


@pytest.fixture
def configure(home: Path, receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stores]:
    """Open stores whose settings have these channels, by default one webhook; loopback is allowed."""

    def opened(*entries: dict[str, Any], **settings: Any) -> Stores:
        monkeypatch.setenv("HOOK_URL", receiver.url)
        monkeypatch.setenv("HOOK_SECRET", SECRET)
        monkeypatch.setenv("MODELLEDGER_NOTIFICATIONS", json.dumps(entries or [HOOK]))
        monkeypatch.setenv("MODELLEDGER_NOTIFICATION_ALLOW", '["127.0.0.1"]')
        for name, value in settings.items():
            monkeypatch.setenv(f"MODELLEDGER_{name.upper()}", value if isinstance(value, str) else json.dumps(value))
        return open_stores(load_settings(home=home))

    return opened


def ask(stores: Stores, number: int) -> Event:
    """Append the event of a request for version *number*, as the service writes it."""
    actor = Actor(name="scientist", roles=frozenset(), channel="test")
    after = {"request": f"r{number}", "to": "Production", "gates_passed": True, "gates": []}
    return stores.audit.append(
        actor, "promotion.request", f"{MODEL}/{number}", Outcome.SUCCESS, reason="please", after=after
    )


def subjects(receiver: Hook) -> list[str]:
    return [received.json["data"]["subject"] for received in receiver.received]


def change_row(stores: Stores, **values: Any) -> None:
    database = Database(stores.settings.database)
    with database.write() as connection:
        connection.execute(sa.update(notification_channels).values(values))
    database.close()


def progress(stores: Stores, name: str = "hook") -> Any:
    return stores.notifications.find(name)


@pytest.mark.both_databases
def test_a_new_channel_gets_no_old_event_and_then_each_event_once_in_order(
    configure: Callable[..., Stores], receiver: Hook
) -> None:
    stores = configure()
    ask(stores, 1)
    first = Sender(stores)
    first.send_due()
    assert receiver.received == []
    events = [ask(stores, 2), ask(stores, 3)]
    first.send_due()
    first.send_due()
    Sender(stores).send_due()
    assert subjects(receiver) == [f"{MODEL}/2", f"{MODEL}/3"]
    assert receiver.ids == [f"request-{event.sequence}-{event.hash[:16]}" for event in events]
    assert progress(stores).last_sent is not None


def test_the_payload_is_the_documented_one(configure: Callable[..., Stores], receiver: Hook) -> None:
    stores = configure(base_url="https://ledger.bank.example/")
    worker = Sender(stores)
    worker.send_due()
    event = ask(stores, 3)
    worker.send_due()
    payload = receiver.received[0].json
    assert payload == {
        "version": 1,
        "id": receiver.ids[0],
        "type": "request",
        "timestamp": event.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "text": "scientist requests Production for iris_classifier/3.",
            "subject": "iris_classifier/3",
            "model": "iris_classifier",
            "actor": "scientist",
            "reason": "please",
            "roles": ["manager"],
            "link": "https://ledger.bank.example/promotions?promotions_request=r3",
            "facts": {"request": "r3", "to": "Production", "gates_passed": True},
        },
    }


def test_a_busy_receiver_is_tried_again_and_later_events_wait_for_their_turn(
    configure: Callable[..., Stores], receiver: Hook
) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    receiver.answers = [(503, {}), (503, {})]
    ask(stores, 1)
    ask(stores, 2)
    worker.send_due()
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/1"], "not before the next try is due"
    failed = progress(stores)
    assert (failed.attempts, failed.last_error) == (1, "127.0.0.1 answered with the status 503.")
    first_wait = failed.next_try - failed.last_error_at
    change_row(stores, next_try=None)
    worker.send_due()
    failed = progress(stores)
    second_wait = failed.next_try - failed.last_error_at
    # 5 s and 10 s, each up to a quarter shorter or longer.
    assert timedelta(seconds=3.7) < first_wait < timedelta(seconds=6.3) < second_wait < timedelta(seconds=12.6)
    change_row(stores, next_try=None)
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/{n}" for n in (1, 1, 1, 2)]
    assert len(set(receiver.ids[:3])) == 1
    assert (progress(stores).attempts, progress(stores).next_try) == (0, None)


@pytest.mark.parametrize(("asked", "least", "most"), [("600", 599, 601), ("999999", 3599, 3601)])
def test_the_receiver_may_ask_for_a_longer_wait_of_at_most_an_hour(
    configure: Callable[..., Stores], receiver: Hook, asked: str, least: int, most: int
) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    receiver.answers = [(429, {"Retry-After": asked})]
    ask(stores, 1)
    worker.send_due()
    wait = progress(stores).next_try - progress(stores).last_error_at
    assert timedelta(seconds=least) < wait < timedelta(seconds=most)


def test_a_message_that_the_receiver_refuses_is_given_up_and_recorded(
    configure: Callable[..., Stores], receiver: Hook
) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    receiver.answers = [(400, {})]
    ask(stores, 1)
    ask(stores, 2)
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/1", f"{MODEL}/2"]
    (event,) = stores.audit.search(action="notification.send")
    assert (event.outcome, event.subject) == (Outcome.FAILED, "notification channel hook")
    assert event.reason == "127.0.0.1 answered with the status 400."
    assert event.after == {"message": receiver.ids[0]}
    assert progress(stores).given_up == 1


def test_a_receiver_that_is_gone_stops_its_channel_until_a_test_message_is_accepted(
    configure: Callable[..., Stores], receiver: Hook, admin: Actor
) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    receiver.answers = [(410, {})]
    ask(stores, 1)
    ask(stores, 2)
    worker.send_due()
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/1"]
    (state,) = channel_states(stores)
    assert (state.is_ok, state.pending) == (False, 1)
    assert "The channel is stopped. 127.0.0.1 answered that the webhook no longer exists (410)" in state.summary
    send_test(stores, admin, "hook")
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/1", "hook", f"{MODEL}/2"]
    assert channel_states(stores)[0].is_ok


def test_what_is_older_than_a_day_is_not_sent_and_recorded_once(
    configure: Callable[..., Stores], receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    old = [ask(stores, 1), ask(stores, 2)]
    with monkeypatch.context() as patched:
        patched.setattr(sender, "MAX_AGE", timedelta(0))
        worker.send_due()
    ask(stores, 3)
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/3"]
    (event,) = stores.audit.search(action="notification.send")
    assert event.after == {"first": old[0].sequence, "last": old[1].sequence}
    assert progress(stores).given_up == 2


@pytest.mark.both_databases
def test_of_two_workers_one_sends(configure: Callable[..., Stores], receiver: Hook) -> None:
    """The second worker looks while the first one waits for the receiver's answer."""
    stores = configure()
    first, second = Sender(stores), Sender(stores)
    first.send_due()
    ask(stores, 1)
    receiver.silent = True
    thread = threading.Thread(target=first.send_due)
    thread.start()
    assert receiver.asked.wait(30)
    second.send_due()
    assert len(receiver.received) == 1
    receiver.closing.set()
    thread.join()


def test_a_worker_that_lost_its_lease_stores_nothing(configure: Callable[..., Stores], receiver: Hook) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    start_at = progress(stores).cursor
    ask(stores, 1)
    receiver.silent = True
    thread = threading.Thread(target=worker.send_due)
    thread.start()
    assert receiver.asked.wait(30)
    change_row(stores, owner="another worker")
    receiver.closing.set()
    thread.join()
    assert (progress(stores).cursor, progress(stores).attempts) == (start_at, 0)


def test_a_crash_before_the_cursor_is_stored_repeats_the_message_with_its_id(
    configure: Callable[..., Stores], receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = configure()
    Sender(stores).send_due()
    ask(stores, 1)
    with monkeypatch.context() as patched:
        patched.setattr(NotificationProgress, "advance", _crash)
        patched.setattr(NotificationProgress, "release", lambda *_: None)
        with pytest.raises(KeyboardInterrupt):
            Sender(stores).send_due()
    after_restart = Sender(stores)
    after_restart.send_due()
    assert len(receiver.received) == 1, "the lease of the dead worker still holds"
    change_row(stores, lease_expires=datetime.now(UTC) - timedelta(seconds=1))
    after_restart.send_due()
    after_restart.send_due()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def _crash(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.both_databases
def test_a_worker_killed_after_the_delivery_repeats_it_with_the_same_id(
    configure: Callable[..., Stores], receiver: Hook
) -> None:
    stores = configure()
    Sender(stores).send_due()
    ask(stores, 1)
    child = start(send_and_die, str(stores.settings.home))
    assert child.wait() == -signal.SIGKILL, child.error
    change_row(stores, lease_expires=datetime.now(UTC) - timedelta(seconds=1))
    Sender(stores).send_due()
    assert len(receiver.ids) == 2
    assert len(set(receiver.ids)) == 1


def send_and_die(home: str) -> None:
    """Deliver, and die before the cursor is stored."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(NotificationProgress, "advance", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        Sender(open_stores(load_settings(home=Path(home)))).send_due()


@pytest.mark.slow
def test_a_real_worker_sends_is_killed_and_the_next_one_repeats_and_ends_in_the_middle_of_a_delivery(
    configure: Callable[..., Stores], receiver: Hook
) -> None:
    stores = configure(inspect_every_s="0", head_every_h="0")
    command = [sys.executable, "-m", "core", "worker"]
    with subprocess.Popen(command) as first:
        until(lambda: progress(stores))
        receiver.silent = True
        ask(stores, 1)
        until(lambda: receiver.received)
        first.kill()
    receiver.silent = False
    change_row(stores, lease_expires=datetime.now(UTC) - timedelta(seconds=1))
    with subprocess.Popen(command) as second:
        until(lambda: progress(stores).last_sent)
        assert len(receiver.ids) == 2
        assert len(set(receiver.ids)) == 1
        receiver.silent = True
        ask(stores, 2)
        until(lambda: len(receiver.received) == 3)
        second.terminate()
        assert second.wait(30) == 0


def test_a_receiver_that_never_answers_holds_up_no_decision(
    configure: Callable[..., Stores], receiver: Hook, sample: Path, scientist: Actor, manager: Actor
) -> None:
    stores = configure()
    receiver.silent = True
    Sender(stores).send_due()
    with sending(stores):
        request = request_promotion(stores, scientist, model=MODEL, version=2, to=Stage.STAGING, reason="please")
        assert receiver.asked.wait(60)
        # The sender waits for its answer now.
        done = reject(stores, manager, request.id, reason="not yet")
        assert done.decided_by == "manager"
        assert progress(stores).last_sent is None
        receiver.closing.set()


def test_an_unexpected_failure_of_one_channel_does_not_stop_the_others(
    configure: Callable[..., Stores], receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = configure({**HOOK, "name": "broken"}, HOOK)
    worker = Sender(stores)
    worker.send_due()
    real = sender.body

    def once(*given: Any) -> bytes:
        monkeypatch.setattr(sender, "body", real)
        raise ZeroDivisionError("a fault of ours")

    monkeypatch.setattr(sender, "body", once)
    ask(stores, 1)
    worker.send_due()
    assert subjects(receiver) == [f"{MODEL}/1"]
    assert progress(stores, "broken").last_error == (
        "The message could not be sent (ZeroDivisionError: a fault of ours)."
    )


def test_events_of_real_services_become_the_sentences(
    configure: Callable[..., Stores], sample: Path, scientist: Actor, manager: Actor, auditor: Actor
) -> None:
    stores = configure(policies={"*": [{"gate": "stage_changes"}]})
    begin = stores.audit.head()[0]
    first = request_promotion(stores, scientist, model=MODEL, version=2, to=Stage.STAGING, reason="look")
    reject(stores, manager, first.id, reason="too early")
    second = request_promotion(stores, scientist, model=MODEL, version=3, to=Stage.PRODUCTION, reason="better")
    approve(stores, manager, second.id, reason="agreed")
    roll_back(stores, manager, MODEL, to=2, reason="worse in the field")
    finding = open_finding(stores, auditor, subject=f"{MODEL}/3", detail="odd numbers", severity=Severity.HIGH)
    assign_finding(stores, auditor, finding.id, owner="scientist", due=finding.due, reason="yours")
    messages = [message for event in stores.audit.events(after_sequence=begin) for message in read_messages(event)]
    assert [(message.kind.value, message.text, message.reason) for message in messages] == [
        ("request", "scientist requests Staging for iris_classifier/2.", "look"),
        ("decision", "manager rejected the request for iris_classifier/2.", "too early"),
        ("request", "scientist requests Production for iris_classifier/3.", "better"),
        ("decision", "manager approved iris_classifier/3; its stage is Production now.", "agreed"),
        (
            "decision",
            "manager rolled back to iris_classifier/2, which is in Production now.",
            "worse in the field",
        ),
        (
            "finding",
            "Finding of severity high about iris_classifier/2: emergency rollback.",
            "manager put iris_classifier/2 into Production: worse in the field",
        ),
        ("finding", "Finding of severity high about iris_classifier/3: opened by hand.", "odd numbers"),
    ]
    assert [message.model for message in messages] == [MODEL] * 7
    assert [[role.value for role in message.roles] for message in messages] == [
        *(["manager"], ["scientist"], ["manager"], ["scientist"], ["scientist", "manager"], ["manager"], ["manager"])
    ]


def test_a_request_that_expires_at_its_decision_is_reported_once(
    configure: Callable[..., Stores], sample: Path, scientist: Actor, manager: Actor
) -> None:
    stores = configure(policies={"*": [{"gate": "stage_changes"}]})
    request = request_promotion(stores, scientist, model=MODEL, version=2, to=Stage.STAGING, reason="look")
    begin = stores.audit.head()[0]
    edit_metric(stores, 2)
    with pytest.raises(EvidenceChanged):
        approve(stores, manager, request.id, reason="fine")
    with pytest.raises(AlreadyDecided):
        approve(stores, manager, request.id, reason="once more")
    (message,) = [message for event in stores.audit.events(after_sequence=begin) for message in read_messages(event)]
    assert (message.kind, message.text) == (Kind.DECISION, "The request for iris_classifier/2 has expired.")
    assert message.facts["status"] == "expired"
    assert "request it again" in message.reason


def test_an_interrupted_decision_is_reported_when_it_is_resolved(
    configure: Callable[..., Stores],
    sample: Path,
    scientist: Actor,
    manager: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stores = configure(policies={"*": [{"gate": "stage_changes"}]})
    request = request_promotion(stores, scientist, model=MODEL, version=2, to=Stage.STAGING, reason="look")
    begin = stores.audit.head()[0]
    left(stores, manager, request, monkeypatch, moved=1)
    resolve_request(stores, manager, request.id, reason="restart")
    (message,) = [message for event in stores.audit.events(after_sequence=begin) for message in read_messages(event)]
    assert message.text == "manager resolved the unfinished decision on iris_classifier/2: approved."
    assert message.facts["status"] == "approved"


def test_an_approval_of_two_is_for_managers(configure: Callable[..., Stores]) -> None:
    stores = configure()
    actor = Actor(name="manager", roles=frozenset(), channel="test")
    after = {"request": "r", "decision": "approved, 1 of 2"}
    event = stores.audit.append(actor, "promotion.decide", "churn/2", Outcome.SUCCESS, after=after)
    (message,) = read_messages(event)
    assert message.text == "manager approved churn/2: approval 1 of 2."
    assert [role.value for role in message.roles] == ["manager"]


@pytest.mark.both_databases
def test_a_failed_job_is_recorded_once_and_sent(
    configure: Callable[..., Stores], receiver: Hook, scientist: Actor
) -> None:
    stores = configure({**HOOK, "events": ["job"], "models": ["iris*"], "roles": ["scientist"]})
    worker, second = Sender(stores), Sender(stores)
    worker.send_due()
    for kind, arguments in (("train", {"recipe": MODEL}), ("score", {"model": "other"})):
        stores.jobs.submit(kind, arguments, scientist)
        job = stores.jobs.claim("w")
        assert job is not None
        stores.jobs.fail(job.id, job.attempt, "The table is empty.")
    worker.send_due()
    second.send_due()
    (payload,) = [received.json for received in receiver.received]
    assert payload["data"]["text"] == f"The job train of {MODEL} failed."
    assert payload["data"]["reason"] == "The table is empty."
    recorded = stores.audit.search(outcome="failed")
    assert sorted((event.action, event.actor) for event in recorded) == [
        ("prediction.score", "scientist"),
        ("run.train", "scientist"),
    ]


@pytest.mark.parametrize(
    ("rule", "is_wanted"),
    [
        ({}, True),
        ({"events": ["request"]}, True),
        ({"events": ["decision", "job"]}, False),
        ({"models": ["iris_*"]}, True),
        ({"models": ["churn", "IRIS_CLASSIFIER"]}, False),
        ({"roles": ["manager", "admin"]}, True),
        ({"roles": ["scientist"]}, False),
    ],
)
def test_a_channel_chooses_by_event_model_and_role(
    configure: Callable[..., Stores], rule: dict[str, Any], is_wanted: bool
) -> None:
    stores = configure({**HOOK, **rule})
    (channel,) = read_channels(stores.settings)
    (message,) = read_messages(ask(stores, 1))
    assert channel.wants(message) is is_wanted


EMAIL = {"name": "post", "kind": "email", "to": ["ann@bank.example"]}
SMTP = {"host": "mail.bank.example", "from": "ledger@bank.example"}


@pytest.mark.parametrize(
    ("entry", "smtp", "sentence"),
    [
        ({"kind": "webhook"}, {}, "entry 1 needs a name"),
        ({**HOOK, "kind": "fax"}, {}, 'hook: kind is "webhook" or "email"'),
        ({**HOOK, "event": ["job"]}, {}, "hook: 'event' is not a key here; did you mean 'events'?"),
        ({**HOOK, "secret": "c4nary"}, {}, "hook: put the secret into an environment variable"),
        ({**HOOK, "events": ["jobs"]}, {}, "hook: 'jobs' is not valid for events; the choices are request, decision,"),
        ({**HOOK, "roles": ["boss"]}, {}, "hook: 'boss' is not valid for roles"),
        ({**HOOK, "models": "iris"}, {}, "hook: models is a list of texts"),
        ({**HOOK, "secret_env": "NOT_SET"}, {}, "hook: the environment variable NOT_SET, which secret_env names, is"),
        ({"name": "hook", "kind": "webhook", "url_env": "HOOK_URL"}, {}, "hook: secret_env is missing"),
        ({**HOOK, "url": "https://hooks.test/"}, {}, "hook: a webhook needs url, or url_env"),
        (
            {"name": "hook", "kind": "webhook", "url": "https://169.254.169.254/latest", "format": "slack"},
            {},
            "hook: 169.254.169.254 leads to 169.254.169.254, a special address",
        ),
        (EMAIL, {}, "post: e-mail needs a mail server; set MODELLEDGER_SMTP"),
        ({**EMAIL, "to": ["ann@bank.example\nBcc: eve@x.example"]}, SMTP, "post: 'ann@bank.example\\nBcc: eve"),
        (EMAIL, {**SMTP, "password": "c4nary"}, "smtp: put the password into an environment variable"),
        (EMAIL, {**SMTP, "tls": "none"}, "smtp: 'none' is not valid for tls; the choices are starttls, implicit"),
        (EMAIL, {**SMTP, "host": "10.0.0.1"}, "smtp: 10.0.0.1 leads to 10.0.0.1, which is on this machine or in its"),
        (EMAIL, {**SMTP, "user": "u"}, "smtp: user and password_env belong together"),
    ],
)
def test_a_mistake_in_the_settings_is_one_sentence(
    configure: Callable[..., Stores], entry: dict[str, Any], smtp: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(BadSettings, match=re.escape(sentence)) as caught:
        configure(entry, smtp=smtp)
    assert "c4nary" not in str(caught.value)


def test_settings_come_from_the_file_too(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text(f"HOOK_SECRET={SECRET}\n")
    (tmp_path / "modelledger.toml").write_text(
        """
base_url = "https://ledger.bank.example"
[[notifications]]
name = "managers"
kind = "webhook"
url = "https://hooks.bank.example/c4nary"
secret_env = "HOOK_SECRET"
events = ["request"]
models = ["churn*"]
roles = ["manager"]
[[notifications]]
name = "post"
kind = "email"
to = ["ann@bank.example"]
[smtp]
host = "mail.bank.example"
from = "ledger@bank.example"
"""
    )
    settings = load_settings(home=home)
    channels = read_channels(settings)
    assert {SECRET, "https://hooks.bank.example/c4nary"} <= set(settings.secret_values)
    assert [(channel.name, channel.place) for channel in channels] == [
        ("managers", "hooks.bank.example"),
        ("post", "ann@bank.example"),
    ]


def test_an_email_is_plain_text_with_the_link_and_a_model_name_adds_no_header(
    configure: Callable[..., Stores], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, file = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("MAIL_PASSWORD", "c4nary-mail")
    with mailbox(context) as box:
        smtp = {
            "host": "localhost",
            "port": box.port,
            "user": "ledger",
            "password_env": "MAIL_PASSWORD",
            "from": "ledger@bank.example",
        }
        stores = configure(
            {**EMAIL, "to": ["ann@bank.example", "bob@bank.example"]},
            smtp=smtp,
            notification_allow=["localhost"],
            base_url="https://ledger.bank.example",
        )
        worker = Sender(stores)
        worker.send_due()
        actor = Actor(name="scientist", roles=frozenset(), channel="test")
        after = {"request": "r1", "to": "Production"}
        stores.audit.append(
            actor,
            "promotion.request",
            "x\r\nBcc: eve@x.example\r\n/1",
            Outcome.SUCCESS,
            reason="änders\nSecond line",
            after=after,
        )
        worker.send_due()
        assert progress(stores, "post").last_error is None
        received = message_from_bytes(box.messages[0], policy=default)
    assert received["To"] == "ann@bank.example, bob@bank.example"
    assert received["Bcc"] is None
    assert received["Subject"] == "scientist requests Production for x ↵ Bcc: eve@x.example ↵ /1."
    assert received["Auto-Submitted"] == "auto-generated"
    assert received["Message-ID"].startswith("<request-")
    assert received["Message-ID"].endswith("@bank.example>")
    assert received.get_content_type() == "text/plain"
    lines = received.get_content().splitlines()
    assert lines[1] == "Reason: änders ↵ Second line"
    assert lines[-1] == "https://ledger.bank.example/promotions?promotions_request=r1"
    assert sorted(command for _, command in box.commands if command.startswith("rcpt")) == [
        "rcpt TO:<ann@bank.example>",
        "rcpt TO:<bob@bank.example>",
    ]


def sent_as(form: str, configure: Callable[..., Stores], receiver: Hook, model: str) -> Any:
    stores = configure(
        {"name": "chat", "kind": "webhook", "url_env": "HOOK_URL", "format": form},
        base_url="https://ledger.bank.example",
    )
    worker = Sender(stores)
    worker.send_due()
    actor = Actor(name="scientist", roles=frozenset(), channel="test")
    after = {"request": "r1", "to": "Production"}
    stores.audit.append(actor, "promotion.request", f"{model}/1", Outcome.SUCCESS, reason="please", after=after)
    worker.send_due()
    return receiver.received[0].json


def test_a_name_in_slack_mentions_nobody(configure: Callable[..., Stores], receiver: Hook) -> None:
    """Slack: &, < and > are escaped; everything active, such as <!channel> and <address|text>, begins with <."""
    text = sent_as("slack", configure, receiver, "<!channel> <https://x.example|y> & z")["text"]
    assert text.splitlines()[0] == (
        "scientist requests Production for &lt;!channel&gt; &lt;https://x.example|y&gt; &amp; z/1."
    )
    assert text.splitlines()[-1] == "https://ledger.bank.example/promotions?promotions_request=r1"


def test_a_card_of_teams_shows_names_without_markdown(configure: Callable[..., Stores], receiver: Hook) -> None:
    document = sent_as("teams", configure, receiver, "[y](https://x.example)")
    assert document["type"] == "message"
    (attachment,) = document["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert runs[0]["text"] == "scientist requests Production for [y](https://x.example)/1."
    assert card["actions"][0]["url"] == "https://ledger.bank.example/promotions?promotions_request=r1"


def test_a_test_message_is_recorded_whether_it_arrives_or_not(
    configure: Callable[..., Stores], receiver: Hook, admin: Actor
) -> None:
    stores = configure()
    send_test(stores, admin, "hook")
    receiver.answers = [(500, {})]
    with pytest.raises(NotDelivered):
        send_test(stores, admin, "hook")
    with pytest.raises(NotFound, match="the settings have hook"):
        send_test(stores, admin, "hok")
    events = stores.audit.search(action="notification.send")
    assert [event.outcome.value for event in reversed(events)] == ["intent", "success", *["intent", "failed"] * 2]
    assert receiver.received[0].json["type"] == "test"


def test_no_secret_is_shown_or_stored(configure: Callable[..., Stores], receiver: Hook, home: Path) -> None:
    stores = configure()
    worker = Sender(stores)
    worker.send_due()
    receiver.answers = [(500, {}), (400, {})]
    ask(stores, 1)
    worker.send_due()
    change_row(stores, next_try=None)
    worker.send_due()
    shown = json.dumps([check.__dict__ for check in run_checks(stores.settings, open_stores)], default=str)
    assert "notifications hook" in shown
    for secret in (receiver.url, "c4nary-in-the-address", SECRET):
        assert secret not in shown
        assert stores.audit.redacted(f"said {receiver.url} {SECRET}") == "said *** ***"
        assert not any(secret.encode() in file.read_bytes() for file in home.glob("modelledger.db*") if file.is_file())
