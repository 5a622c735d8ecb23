"""Redacts: takes secrets out of a text before it is kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

MASK = "***"
# user:password@ of any URL; the user's name may stay.
_IN_URL = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@]*:)[^\s/@]+(?=@)")
_WORDS = r"PASSW|SECRET|TOKEN|CREDENTIAL|ACCESS_?KEY|ACCOUNT_?KEY|API_?KEY|PRIVATE_?KEY|SIGNATURE"
_SECRET_NAME = re.compile(rf"{_WORDS}|(^|[_.])SAS([_.]|$)", re.IGNORECASE)
# What follows a URL as ?password=…, &sig=… or, over Spark Connect, ;token=…
_IN_PARAMETER = re.compile(
    rf"(?P<start>[?&;](?:[\w.\-]*(?:{_WORDS})[\w.\-]*|sig|pwd)=)(?P<value>[^&;,\s'\"]+)", re.IGNORECASE
)
# A token of ours (core/access/tokens.py), wherever it was pasted.
_TOKEN = re.compile(r"\bmlt_[\w\-]{20,}")
# Names of files, which hold secrets and are none.
_OF_A_FILE = re.compile(r"_FILE$|^MODELLEDGER_SECRETS$")
# A shorter value is a word that stands in innocent texts too.
_SHORTEST = 6


def secret_values(options: Mapping[str, str]) -> tuple[str, ...]:
    """The values whose name says that they are secret."""
    return tuple(v for name, v in options.items() if _SECRET_NAME.search(name) and not _OF_A_FILE.search(name))


def password_of(url: str | None) -> tuple[str, ...]:
    """The password in *url* and the secrets among its parameters; as they are written and as they are meant."""
    try:
        password = urlsplit(url).password if url else None
    except ValueError:  # no URL at all
        password = None
    found = [password or "", *(match["value"] for match in _IN_PARAMETER.finditer(url or ""))]
    return tuple(text for value in found if value for text in (value, unquote(value)))


def masked(text: str) -> str:
    """*text* without the passwords of URLs in it, the secrets among their parameters, and tokens of ours."""
    text = _TOKEN.sub(MASK, text)
    return _IN_PARAMETER.sub(rf"\g<start>{MASK}", _IN_URL.sub(rf"\g<start>{MASK}", text))


def redactor(secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that masks *secrets*, the values of secret-looking environment variables and passwords in URLs."""
    known = {value for value in (*secrets, *secret_values(os.environ)) if len(value) >= _SHORTEST}
    # The longest first: one secret may begin with another.
    values = re.compile("|".join(re.escape(value) for value in sorted(known, key=len, reverse=True))) if known else None

    def redact(text: str) -> str:
        text = masked(text)
        return values.sub(MASK, text) if values else text

    return redact


def everywhere(value: Any, redact: Callable[[str], str]) -> Any:
    """*value* with *redact* applied to each of its texts, inside lists and mappings too; tuples become lists."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {name: everywhere(item, redact) for name, item in value.items()}
        case list() | tuple():
            return [everywhere(item, redact) for item in value]
        case _:
            return value
