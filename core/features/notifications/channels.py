"""Channels: who gets which notifications, read from the settings and checked at the start."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Literal, NoReturn, cast

from core.delivery.addresses import Allowed, check_host
from core.delivery.mail import MailServer
from core.delivery.webhook import Endpoint, secret_key
from core.entities import Role
from core.errors import BadSettings, CoreError
from core.features.notifications.messages import Kind, Message
from core.settings import Settings, environment_value
from core.texts import text

_SETTING, _SMTP = "MODELLEDGER_NOTIFICATIONS", "MODELLEDGER_SMTP"
_COMMON = ("name", "kind", "events", "models", "roles")
_KEYS = {
    "webhook": (*_COMMON, "url", "url_env", "format", "secret_env"),
    "email": (*_COMMON, "to"),
}
_SMTP_KEYS = ("host", "port", "tls", "user", "password_env", "from")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
# Stricter than RFC 5322: no quotes, no comments and no display name, so that nothing can be hidden in an address.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
_SELECTABLE = [kind.value for kind in Kind if kind is not Kind.TEST]
_PORTS = {"starttls": 587, "implicit": 465}


class Format(str, Enum):
    JSON = "json"
    SLACK = "slack"
    TEAMS = "teams"


@dataclass(frozen=True, kw_only=True)
class Webhook:
    endpoint: Endpoint
    format: Format
    key: bytes | None


@dataclass(frozen=True, kw_only=True)
class Mail:
    server: MailServer
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One webhook or list of recipients, and the messages that it gets. Empty *events* or *roles* stand for all."""

    name: str
    target: Webhook | Mail
    events: frozenset[Kind]
    models: tuple[str, ...]
    roles: frozenset[Role]
    allowed: Allowed

    def wants(self, message: Message) -> bool:
        """Return whether the message is for this channel, by event, model and role."""
        return (
            (not self.events or message.kind in self.events)
            and (not self.models or any(fnmatchcase(message.model, pattern) for pattern in self.models))
            and (not self.roles or bool(self.roles & set(message.roles)))
        )

    @property
    def place(self) -> str:
        """The receiver, without what could be secret: the host of a webhook, or the recipients."""
        target = self.target
        return target.endpoint.host if isinstance(target, Webhook) else ", ".join(target.to)


def read_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return the channels of the settings. Raises BadSettings with the first mistake."""
    allowed = Allowed.parse(settings.notification_allow)
    channels: list[Channel] = []
    for number, entry in enumerate(settings.notifications, start=1):
        channel = _channel(entry, number, settings, allowed)
        if any(channel.name == other.name for other in channels):
            _refuse(channel.name, text("two notifications have this name; names are unique"))
        channels.append(channel)
    if settings.smtp and not any(isinstance(channel.target, Mail) for channel in channels):
        _mail_server(settings.smtp, allowed)  # a mistake is reported before somebody relies on the server
    return tuple(channels)


def _channel(entry: Mapping[str, Any], number: int, settings: Settings, allowed: Allowed) -> Channel:
    name = entry.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BadSettings(
            "{setting}: entry {number} needs a name of at most 40 lower-case letters, digits and hyphens.",
            setting=_SETTING,
            number=number,
        )
    kind = entry.get("kind")
    if kind not in _KEYS:
        _refuse(name, text('kind is "webhook" or "email"'))
    _refuse_unknown(entry, _KEYS[kind], name)
    return Channel(
        name=name,
        target=_webhook(entry, name, allowed) if kind == "webhook" else _mail(entry, name, settings, allowed),
        events=frozenset(Kind(event) for event in _choices(entry, "events", _SELECTABLE, name)),
        models=tuple(_texts(entry, "models", name)),
        roles=frozenset(Role(role) for role in _choices(entry, "roles", [role.value for role in Role], name)),
        allowed=allowed,
    )


def _webhook(entry: Mapping[str, Any], name: str, allowed: Allowed) -> Webhook:
    format_ = Format(_choice(entry, "format", [f.value for f in Format], Format.JSON.value, name))
    if ("url" in entry) == ("url_env" in entry):
        _refuse(name, text("a webhook needs url, or url_env, which names an environment variable with the URL"))
    url = entry["url"] if "url" in entry else _variable(entry, "url_env", name)
    if format_ is Format.JSON and "secret_env" not in entry:
        _refuse(
            name, text("secret_env is missing: the name of an environment variable with the secret that signs messages")
        )
    try:
        key = secret_key(_variable(entry, "secret_env", name)) if "secret_env" in entry else None
        return Webhook(endpoint=Endpoint.parse(str(url), allowed), format=format_, key=key)
    except CoreError as error:
        _refuse(name, str(error))


def _mail(entry: Mapping[str, Any], name: str, settings: Settings, allowed: Allowed) -> Mail:
    recipients = _texts(entry, "to", name)
    if not recipients:
        _refuse(name, text("to is missing: a list of e-mail addresses"))
    for address in recipients:
        if not _EMAIL.fullmatch(address):
            _refuse(name, text("{address!r} is not an e-mail address", address=address))
    if not settings.smtp:
        _refuse(name, text("e-mail needs a mail server; set {setting}", setting=_SMTP))
    return Mail(server=_mail_server(settings.smtp, allowed), to=tuple(recipients))


def _mail_server(smtp: Mapping[str, Any], allowed: Allowed) -> MailServer:
    _refuse_unknown(smtp, _SMTP_KEYS, "smtp", _SMTP)
    host, sender = smtp.get("host"), smtp.get("from")
    if not isinstance(host, str):
        _refuse("smtp", text("host is missing"), _SMTP)
    if not isinstance(sender, str) or not _EMAIL.fullmatch(sender):
        _refuse("smtp", text("from is not an e-mail address"), _SMTP)
    try:
        check_host(host, allowed)
    except CoreError as error:
        _refuse("smtp", str(error), _SMTP)
    tls = cast(Literal["starttls", "implicit"], _choice(smtp, "tls", list(_PORTS), "starttls", "smtp", _SMTP))
    port = smtp.get("port", _PORTS[tls])
    if not isinstance(port, int) or not 0 < port < 65_536:
        _refuse("smtp", text("port is a number from 1 to 65535"), _SMTP)
    if ("user" in smtp) != ("password_env" in smtp):
        _refuse("smtp", text("user and password_env belong together"), _SMTP)
    return MailServer(
        host=host,
        port=port,
        tls=tls,
        sender=sender,
        user=str(smtp["user"]) if "user" in smtp else None,
        password=_variable(smtp, "password_env", "smtp", _SMTP) if "password_env" in smtp else None,
    )


def _variable(entry: Mapping[str, Any], key: str, name: str, setting: str = _SETTING) -> str:
    """Return the value of the environment variable that *key* names."""
    value = environment_value(str(entry[key]))
    if value is None:
        _refuse(
            name,
            text("the environment variable {variable}, which {key} names, is not set", variable=entry[key], key=key),
            setting,
        )
    return value


def _texts(entry: Mapping[str, Any], key: str, name: str) -> list[str]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        _refuse(name, text("{key} is a list of texts", key=key))
    return value


def _choices(entry: Mapping[str, Any], key: str, choices: list[str], name: str) -> list[str]:
    values = _texts(entry, key, name)
    for value in values:
        _choice({key: value}, key, choices, "", name)
    return values


def _choice(
    entry: Mapping[str, Any], key: str, choices: list[str], default: str, name: str, setting: str = _SETTING
) -> str:
    value = entry.get(key, default)
    if value not in choices:
        _refuse(
            name,
            text(
                "{value!r} is not valid for {key}; the choices are {choices}",
                value=value,
                key=key,
                choices=", ".join(choices),
            ),
            setting,
        )
    return str(value)


def _refuse_unknown(entry: Mapping[str, Any], keys: tuple[str, ...], name: str, setting: str = _SETTING) -> None:
    for key in entry:
        if key in ("secret", "password"):
            _refuse(
                name, text("put the {key} into an environment variable, and its name into {key}_env", key=key), setting
            )
        if key not in keys:
            likely = difflib.get_close_matches(key, keys, n=1)
            hint = (
                text("did you mean {key!r}?", key=likely[0])
                if likely
                else text("the keys are {keys}", keys=", ".join(keys))
            )
            _refuse(name, text("{key!r} is not a key here; {hint}", key=key, hint=hint), setting)


def _refuse(name: str, problem: str, setting: str = _SETTING) -> NoReturn:
    raise BadSettings("{setting}, {name}: {problem}", setting=setting, name=name, problem=problem)
