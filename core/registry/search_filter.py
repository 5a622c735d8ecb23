"""Quote a text for MLflow's search filter."""

from __future__ import annotations

from core.errors import BadInput


def quote(text: str) -> str:
    """Return *text* as a string of MLflow's search filter, which has no escape: in the quotes that it does not hold.

    Raises:
        BadInput: the text holds both kinds of quotes.
    """
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise BadInput("MLflow cannot search for a text that contains both kinds of quotes. Leave one kind out.", text=text)
