"""Redacts: takes secrets out of a text before it is kept or shown."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote, urlsplit

MASK = "***"
# user:password@ of any URL; the user's name may stay.
_IN_URL = re.compile(r"(?P<start>[A-Za-z][A-Za-z0-9+.\-]*://[^\s/:@]*:)[^\s/@]+(?=@)")
_SECRET_NAME = re.compile(
    r"PASSW|SECRET|TOKEN|CREDENTIAL|ACCESS_KEY|ACCOUNT_KEY|API_?KEY|PRIVATE_KEY|(^|_)SAS(_|$)", re.IGNORECASE
)
# A shorter value is a word that stands in innocent texts too.
_SHORTEST = 6


def secret_values(options: Mapping[str, str]) -> tuple[str, ...]:
    """The values whose name says that they are secret."""
    return tuple(value for name, value in options.items() if _SECRET_NAME.search(name))


def password_of(url: str | None) -> tuple[str, ...]:
    """The password in *url*, where it has one; as it is written and as it is meant."""
    password = urlsplit(url).password if url else None
    return (password, unquote(password)) if password else ()


def redactor(secrets: Iterable[str] = ()) -> Callable[[str], str]:
    """A function that masks *secrets*, the values of secret-looking environment variables and passwords in URLs."""
    known = {value for value in (*secrets, *secret_values(os.environ)) if len(value) >= _SHORTEST}
    # The longest first: one secret may begin with another.
    values = re.compile("|".join(re.escape(value) for value in sorted(known, key=len, reverse=True))) if known else None

    def redact(text: str) -> str:
        text = _IN_URL.sub(rf"\g<start>{MASK}", text)
        return values.sub(MASK, text) if values else text

    return redact
