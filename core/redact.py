"""Redaction: masks secrets in a text before it is stored or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

MASK = "***"
# user:password@ of any URL; the user's name may stay. The scheme is bounded: a word of 100,000 letters took 30 s.
_IN_URL = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.\-]{0,40}://[^\s/:@]*:)[^\s/@]+(?=@)")
_WORDS = r"PASSW|SECRET|TOKEN|CREDENTIAL|ACCESS_?KEY|ACCOUNT_?KEY|API_?KEY|PRIVATE_?KEY|SIGNATURE"
_SECRET_NAME = re.compile(rf"{_WORDS}|(^|[_.])SAS([_.]|$)", re.IGNORECASE)
# Parameters of a URL: ?password=…, &sig=… or, over Spark Connect, ;token=…
_IN_PARAMETER = re.compile(
    rf"(?P<start>[?&;](?:[\w.\-]*(?:{_WORDS})[\w.\-]*|sig|pwd)=)(?P<value>[^&;,\s'\"]+)", re.IGNORECASE
)
# A ModelLedger token (core/access/tokens.py), wherever it was pasted.
_TOKEN = re.compile(r"\bmlt_[\w\-]{20,}")
# Names of files that hold secrets: the names are not secret.
_OF_A_FILE = re.compile(r"_FILE$|^MODELLEDGER_SECRETS$")
# A shorter value also occurs in harmless texts.
_SHORTEST = 6


def secret_values(options: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values whose names mark them as secret."""
    return tuple(v for name, v in options.items() if _SECRET_NAME.search(name) and not _OF_A_FILE.search(name))


def password_of(url: str | None) -> tuple[str, ...]:
    """Return the password in *url* and its secret parameters, both as written and decoded."""
    try:
        password = urlsplit(url).password if url else None
    except ValueError:  # no URL at all
        password = None
    values = [password or "", *(match["value"] for match in _IN_PARAMETER.finditer(url or ""))]
    return tuple(text for value in values if value for text in (value, unquote(value)))


def masked(text: str) -> str:
    """Return *text* with passwords of URLs, secret parameters and ModelLedger tokens masked."""
    text = _TOKEN.sub(MASK, text)
    return _IN_PARAMETER.sub(rf"\g<start>{MASK}", _IN_URL.sub(rf"\g<start>{MASK}", text))


def redactor(secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """Return a function that masks *secrets*, secret environment variables and passwords in URLs."""
    masked_values = {value for value in (*secrets, *secret_values(os.environ)) if len(value) >= _SHORTEST}
    # The longest first: one secret may begin with another.
    pattern = "|".join(re.escape(value) for value in sorted(masked_values, key=len, reverse=True))
    secret = re.compile(pattern) if pattern else None

    def redact(text: str) -> str:
        text = masked(text)
        return secret.sub(MASK, text) if secret else text

    return redact


def everywhere(value: Any, redact: Callable[[str], str]) -> Any:
    """Return *value* with *redact* applied to each text, also inside lists and mappings; tuples become lists."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {name: everywhere(item, redact) for name, item in value.items()}
        case list() | tuple():
            return [everywhere(item, redact) for item in value]
        case _:
            return value
