"""Delivery: signatures, addresses that are refused, TLS, answers of receivers, and e-mail."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from core.delivery import addresses, mail, webhook
from core.delivery.addresses import Allowed, check_host, resolve
from core.delivery.mail import MailServer
from core.delivery.webhook import Endpoint, post, secret_key, sign
from core.errors import AddressRefused, BadInput, BadSettings, NotDelivered
from tests.receivers import KEY, Hook, certificate, hook, mailbox

NOW = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)
LOOPBACK = Allowed.parse(["127.0.0.0/8"])
NOBODY = Allowed()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the name server answers; an address answers with itself, without a name server."""
    known: dict[str, list[str]] = {}
    real = socket.getaddrinfo

    def answer(host: str, port: int, *rest: Any, **options: Any) -> Any:
        if host not in known:
            return real(host, port, *rest, flags=socket.AI_NUMERICHOST, **options)
        return [entry for address in known[host] for entry in real(address, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as running:
        yield running


def send(running: Hook, *, allowed: Allowed = LOOPBACK, key: bytes | None = KEY) -> None:
    endpoint = Endpoint.parse(running.url, allowed)
    post(endpoint, b"{}", message_id="request-1", key=key, allowed=allowed, now=NOW)


def test_signature_is_that_of_the_standard() -> None:
    """The test vector of the Standard Webhooks reference libraries."""
    key = secret_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%%%"])
def test_a_secret_that_is_short_or_not_base64_is_refused(secret: str) -> None:
    with pytest.raises(BadInput, match="24 to 64 random bytes") as caught:
        secret_key(secret)
    assert not secret or secret not in str(caught.value) or secret == "whsec_"


# Addresses that a setting must not reach, one of each kind.
LOCAL = {
    "loopback": "127.0.0.1",
    "loopback, another": "127.8.9.1",
    "loopback, IPv6": "::1",
    "private A": "10.1.2.3",
    "private B": "172.31.0.1",
    "private C": "192.168.1.1",
    "carrier-grade NAT": "100.64.0.1",
    "unique local": "fd12:3456::1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped private": "::ffff:10.0.0.1",
    "compatible loopback": "::127.0.0.1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
}
NEVER = {
    "metadata": "169.254.169.254",
    "link-local": "169.254.1.1",
    "metadata, mapped": "::ffff:169.254.169.254",
    "metadata, NAT64": "64:ff9b::a9fe:a9fe",
    "metadata of AWS over IPv6": "fd00:ec2::254",
    "metadata of Google over IPv6": "fd20:ce::254",
    "metadata of Alibaba": "100.100.100.200",
    "metadata of Oracle": "192.0.0.192",
    "platform of Azure": "168.63.129.16",
    "link-local, IPv6": "fe80::1",
    "unspecified": "0.0.0.0",
    "unspecified, IPv6": "::",
    "broadcast": "255.255.255.255",
    "multicast": "224.0.0.1",
    "multicast, IPv6": "ff02::1",
    "reserved": "240.0.0.1",
    "documentation": "192.0.2.1",
    "6to4 of loopback": "2002:7f00:1::1",
    "Teredo": "2001:0:7f00:1::1",
    "local NAT64": "64:ff9b:1::7f00:1",
}
EVERYTHING = Allowed.parse(["0.0.0.0/0", "::/0", "hooks.test"])


@pytest.mark.parametrize("address", [*LOCAL.values(), *NEVER.values()], ids=[*LOCAL, *NEVER])
def test_address_is_refused_as_it_is_and_behind_a_name(names: dict[str, list[str]], address: str) -> None:
    names["hooks.test"] = [address]
    for host in (address, "hooks.test"):
        with pytest.raises(AddressRefused, match="leads to"):
            resolve(host, 443, NOBODY)


@pytest.mark.parametrize("address", NEVER.values(), ids=NEVER)
def test_no_setting_allows_a_special_address(names: dict[str, list[str]], address: str) -> None:
    names["hooks.test"] = [address]
    for host in (address, "hooks.test"):
        with pytest.raises(AddressRefused, match="never sends"):
            resolve(host, 443, EVERYTHING)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0x7f.1", "127.0.0.1."])
def test_an_address_in_another_notation_is_refused(host: str) -> None:
    with pytest.raises(AddressRefused, match="in another notation"):
        check_host(host, EVERYTHING)


def test_one_bad_address_among_several_refuses_the_name(names: dict[str, list[str]]) -> None:
    names["hooks.test"] = ["93.184.216.34", "127.0.0.1"]
    with pytest.raises(AddressRefused, match=r"hooks\.test leads to 127\.0\.0\.1"):
        resolve("hooks.test", 443, NOBODY)


def test_public_addresses_are_accepted(names: dict[str, list[str]]) -> None:
    names["hooks.test"] = ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"]
    assert len(resolve("hooks.test", 443, NOBODY)) == 2


@pytest.mark.parametrize(
    ("entry", "host", "address"),
    [("hooks.test", "HOOKS.test.", "10.0.0.5"), ("10.0.0.0/24", "other.test", "10.0.0.5"), ("::1", "::1", "::1")],
)
def test_a_setting_allows_a_host_or_a_network(names: dict[str, list[str]], entry: str, host: str, address: str) -> None:
    names[host] = [address]
    assert resolve(host, 443, Allowed.parse([entry])) == (address,)


def test_what_is_allowed_must_be_a_host_or_a_network() -> None:
    with pytest.raises(BadSettings, match=r"'http://x', which is not a host name"):
        Allowed.parse(["http://x"])


def test_the_name_is_resolved_once_and_the_checked_address_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second answer of a rebinding name server leads to this machine."""
    answers = iter(["93.184.216.34", "127.0.0.1"])
    connected: list[object] = []

    def answer(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def connect(address: object, timeout: float) -> None:
        connected.append(address)
        raise OSError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(NotDelivered, match=r"cannot be reached \(Connection refused\)"):
        addresses.connect("hooks.test", 443, NOBODY)
    assert connected == [("93.184.216.34", 443)]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("ftp://hooks.test/x", "does not start with https://"),
        ("https:///x", "does not start with https://"),
        ("https://user:c4nary@hooks.test/x", "user name or a password"),
        ("https://hooks.test:0/x", "the port 0"),
        ("https://hooks.test:99999/x", "not a valid URL"),
        ("https://hooks.test/c4nary\r\nX: y", "characters that are not allowed"),
        ("https://hooks.tést/", "characters that are not allowed"),
        ("https://ho oks.test/", "characters that are not allowed"),
    ],
)
def test_an_address_that_is_no_plain_url_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence) as caught:
        Endpoint.parse(url, NOBODY)
    assert "c4nary" not in str(caught.value)


def test_a_message_arrives_signed_with_the_time_of_the_attempt(receiver: Hook) -> None:
    send(receiver)
    (received,) = receiver.received
    assert received.path == "/hook?key=c4nary-in-the-address"
    assert received.headers["webhook-id"] == "request-1"
    assert received.headers["webhook-timestamp"] == "1803902400"  # date -u -d 2027-03-01T12:00 +%s
    assert received.headers["webhook-signature"] == sign(KEY, "request-1", 1803902400, b"{}")
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


def test_without_tls_only_an_allowed_host_is_reached(names: dict[str, list[str]]) -> None:
    names["hooks.test"] = ["93.184.216.34"]
    with pytest.raises(AddressRefused, match="without TLS"):
        addresses.connect("hooks.test", 80, NOBODY, is_encrypted=False)


@pytest.mark.parametrize(
    ("status", "is_final", "is_gone"),
    [
        (200, None, False),
        (204, None, False),
        (301, True, False),
        (302, True, False),
        (400, True, False),
        (401, True, False),
        (404, True, False),
        (408, False, False),
        (410, True, True),
        (425, False, False),
        (429, False, False),
        (500, False, False),
        (503, False, False),
    ],
)
def test_answers_that_are_final_and_answers_that_are_not(
    receiver: Hook, status: int, is_final: bool | None, is_gone: bool
) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]
    if is_final is None:
        send(receiver)
        return
    with pytest.raises(NotDelivered, match=f"127.0.0.1 answered .*{status}") as caught:
        send(receiver)
    assert (caught.value.is_final, caught.value.is_gone) == (is_final, is_gone)
    assert len(receiver.received) == 1, "no redirect is followed"
    assert "c4nary" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("120", 120.0), ("Mon, 01 Mar 2027 12:05:00 GMT", 300.0), ("soon", None), ("-5", None)],
)
def test_retry_after_is_a_number_or_a_date(receiver: Hook, value: str, seconds: float | None) -> None:
    receiver.answers = [(503, {"Retry-After": value})]
    with pytest.raises(NotDelivered) as caught:
        send(receiver)
    assert caught.value.retry_after_s == seconds


def test_a_receiver_that_does_not_answer_is_left(receiver: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "CONNECT_TIMEOUT_S", 0.2)
    receiver.silent = True
    with pytest.raises(NotDelivered, match="did not answer within") as caught:
        send(receiver)
    assert not caught.value.is_final


def test_an_answer_that_drips_ends_with_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte comes before the timeout of the socket, and the answer never ends."""
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 ")
                try:
                    while not stop.wait(0.05):
                        connection.sendall(b"2")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        try:
            running = Hook(port=server.getsockname()[1])
            with pytest.raises(NotDelivered) as caught:
                send(running)
        finally:
            stop.set()
            thread.join()
    assert not caught.value.is_final


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ssl.SSLContext]:
    def make(name: str) -> ssl.SSLContext:
        context, file = certificate(tmp_path, name)
        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        return context

    return make


def test_tls_names_the_host_and_goes_to_the_checked_address(
    names: dict[str, list[str]], trusted: Callable[[str], ssl.SSLContext]
) -> None:
    context = trusted("hooks.test")
    asked: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    names["hooks.test"], allowed = ["127.0.0.1"], Allowed.parse(["hooks.test"])
    with hook(context) as running:
        endpoint = Endpoint.parse(f"https://hooks.test:{running.port}/x", allowed)
        post(endpoint, b"{}", message_id="m", key=None, allowed=allowed, now=NOW)
        assert running.received[0].headers["host"] == f"hooks.test:{running.port}"
        assert "webhook-signature" not in running.received[0].headers
    assert asked == ["hooks.test"]


def test_a_certificate_of_another_name_is_refused(
    names: dict[str, list[str]], trusted: Callable[[str], ssl.SSLContext]
) -> None:
    names["hooks.test"], allowed = ["127.0.0.1"], Allowed.parse(["hooks.test"])
    with hook(trusted("other.test")) as running:
        endpoint = Endpoint.parse(f"https://hooks.test:{running.port}/x", allowed)
        with pytest.raises(NotDelivered, match=r"certificate of hooks.test is not valid"):
            post(endpoint, b"{}", message_id="m", key=KEY, allowed=allowed, now=NOW)
        assert running.received == []


def letter() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "ledger@bank.example", "ann@bank.example", "s"
    message.set_content("hello")
    return message


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_mail_is_sent_over_tls_alone(
    names: dict[str, list[str]], trusted: Callable[[str], ssl.SSLContext], tls: Any
) -> None:
    names["mail.test"], allowed = ["127.0.0.1"], Allowed.parse(["mail.test"])
    with mailbox(trusted("mail.test"), implicit=tls == "implicit") as box:
        server = MailServer("mail.test", box.port, tls, "ledger@bank.example", "ledger", "c4nary-password")
        mail.send(letter(), server, allowed)
        assert b"hello" in box.messages[0]
        plain = [command.split()[0] for encrypted, command in box.commands if not encrypted]
        assert plain == (["ehlo", "STARTTLS"] if tls == "starttls" else [])
        assert any(command.startswith("AUTH") for _, command in box.commands)


def test_mail_is_not_sent_to_a_server_without_tls(
    names: dict[str, list[str]], trusted: Callable[[str], ssl.SSLContext]
) -> None:
    names["mail.test"], allowed = ["127.0.0.1"], Allowed.parse(["mail.test"])
    with mailbox(trusted("mail.test")) as box:
        box.offers_tls = False
        server = MailServer("mail.test", box.port, "starttls", "ledger@bank.example", "ledger", "c4nary-password")
        with pytest.raises(NotDelivered, match="over TLS only"):
            mail.send(letter(), server, allowed)
        assert box.messages == []
        assert not any("AUTH" in command or "MAIL" in command for _, command in box.commands)


@pytest.mark.parametrize(
    ("verb", "reply", "is_final"),
    [
        ("AUTH", "535 wrong password", False),
        ("MAIL", "451 later", False),
        ("RCPT", "550 unknown", True),
        ("RCPT", "450 later", False),
        ("DATA", "554 refused", True),
    ],
)
def test_replies_of_a_mail_server_that_are_final_and_replies_that_are_not(
    names: dict[str, list[str]], trusted: Callable[[str], ssl.SSLContext], verb: str, reply: str, is_final: bool
) -> None:
    names["mail.test"], allowed = ["127.0.0.1"], Allowed.parse(["mail.test"])
    with mailbox(trusted("mail.test")) as box:
        box.replies = {verb: reply}
        server = MailServer("mail.test", box.port, "starttls", "ledger@bank.example", "ledger", "c4nary-password")
        with pytest.raises(NotDelivered, match=r"mail server mail.test") as caught:
            mail.send(letter(), server, allowed)
    assert caught.value.is_final is is_final
    assert "c4nary" not in str(caught.value)


def test_a_mail_server_on_this_machine_must_be_allowed(names: dict[str, list[str]]) -> None:
    names["mail.test"] = ["127.0.0.1"]
    server = MailServer("mail.test", 25, "starttls", "ledger@bank.example")
    with pytest.raises(AddressRefused, match=r"mail\.test leads to 127\.0\.0\.1"):
        mail.send(letter(), server, NOBODY)
