"""Formats of a message: our JSON, a Slack message, a Teams card, and an e-mail."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Any

from core.features.notifications.channels import Format, Mail
from core.features.notifications.messages import Message
from core.texts import text

# Raised where a receiver would have to change: a key that is removed or means something else.
PAYLOAD_VERSION = 1
_LONGEST_SUBJECT = 200


def body(message: Message, form: Format, base_url: str | None) -> bytes:
    """Return the body of a webhook."""
    document = {Format.JSON: _payload, Format.SLACK: _slack, Format.TEAMS: _teams}[form](message, base_url)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def email(message: Message, target: Mail, base_url: str | None) -> EmailMessage:
    """Return the e-mail. Its Message-ID is the same whenever the message is sent again.

    EmailMessage encodes or refuses line ends in headers, so that a model's name cannot add a header.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = target.server.sender
    mail["To"] = ", ".join(target.to)
    mail["Subject"] = _shortened(message.text, _LONGEST_SUBJECT)
    mail["Date"] = format_datetime(message.time)
    mail["Message-ID"] = f"<{message.id}@{target.server.sender.partition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content("\n".join(_lines(message, base_url)) + "\n")
    return mail


def _lines(message: Message, base_url: str | None) -> list[str]:
    """Return the message in words: the sentence, the reason, who and when, and the link."""
    lines = [message.text]
    if message.reason:
        lines.append(text("Reason: {reason}", reason=message.reason))
    lines.append(text("By {actor}, {time:%Y-%m-%d %H:%M} UTC", actor=message.actor, time=message.time))
    if link := message.link(base_url):
        lines.append(link)
    return lines


def _payload(message: Message, base_url: str | None) -> Mapping[str, Any]:
    return {
        "version": PAYLOAD_VERSION,
        "id": message.id,
        "type": message.kind.value,
        "timestamp": _iso(message.time),
        "data": {
            "text": message.text,
            "subject": message.subject,
            "model": message.model,
            "actor": message.actor,
            "reason": message.reason,
            "roles": [role.value for role in message.roles],
            "link": message.link(base_url),
            "facts": message.facts,
        },
    }


def _slack(message: Message, base_url: str | None) -> Mapping[str, Any]:
    """Return Slack's simplest message. Escaped, data can neither mention anybody nor hide a link behind a text."""
    words = "\n".join(_lines(message, base_url))
    return {"text": words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def _teams(message: Message, base_url: str | None) -> Mapping[str, Any]:
    """Return the card that the webhooks of Teams (Workflows) post. A TextRun shows data without Markdown."""
    link = message.link(base_url)
    lines = [line for line in _lines(message, base_url) if line != link]
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": words, "weight": weight}]}
            for words, weight in zip(lines, ("Bolder", *("Default" for _ in lines)), strict=False)
        ],
    }
    if link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": text("Open ModelLedger"), "url": link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shortened(words: str, length: int) -> str:
    return words if len(words) <= length else words[: length - 1] + "…"
