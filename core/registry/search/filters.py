"""Filters of runs in MLflow's syntax: parse what a person wrote, and write what MLflow accepts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.entities import RunStatus
from core.errors import BadFilter
from core.registry.search_filter import quote
from core.texts import text

METRICS, PARAMS, TAGS, ATTRIBUTES, DATASETS = "metrics", "params", "tags", "attributes", "dataset"
_KINDS = {
    **dict.fromkeys(("metric", "metrics"), METRICS),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), PARAMS),
    **dict.fromkeys(("tag", "tags"), TAGS),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), ATTRIBUTES),
    **dict.fromkeys(("dataset", "datasets"), DATASETS),
}
_NUMERIC = ("=", "!=", "<", "<=", ">", ">=")
_TEXT = ("=", "!=", "LIKE", "ILIKE")
_PRESENCE = ("IS NULL", "IS NOT NULL")
OPERATORS = {METRICS: _NUMERIC, PARAMS: (*_TEXT, *_PRESENCE), TAGS: (*_TEXT, *_PRESENCE), DATASETS: _TEXT}
_TIMES = ("start_time", "end_time")
_ATTRIBUTES = ("run_name", "status", *_TIMES, "user_id", "run_id", "artifact_uri")
_ATTRIBUTE_ALIASES = {"created": "start_time", "name": "run_name", "run name": "run_name"}
_DATASET_FIELDS = ("name", "digest", "context")
_EXAMPLE = "metrics.rmse < 0.3 AND params.depth = '3'"

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<field>[\w.:/@%+-]+\.(?:`[^`]+`|"[^"]+")|`[^`]+`)
      | (?P<text>'[^']*'|"[^"]*")
      | (?P<sign><=|>=|!=|==|<>|=|<|>)
      | (?P<bracket>[(),])
      | (?P<word>[^\s'"`=<>!(),;]+)
      | (?P<other>\S)
    )""",
    re.VERBOSE,
)


_COMPARISON = re.compile(
    r"^\s*(?P<name>\S.*?)\s*(?P<operator><=|>=|!=|=|<|>|\bi?like\b|\bis\s+(?:not\s+)?null\b)\s*(?P<value>.*?)\s*$",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One comparison. *value* is the text without quotes; a list of texts for IN; None for IS NULL."""

    kind: str
    name: str
    operator: str
    value: str | tuple[str, ...] | None = None

    def __str__(self) -> str:
        """The condition as MLflow parses it."""
        field = f"{self.kind}.{quoted_name(self.name)}"
        if self.value is None:
            return f"{field} {self.operator}"
        if isinstance(self.value, tuple):
            return f"{field} {self.operator} ({', '.join(quote(item) for item in self.value)})"
        is_number = self.kind == METRICS or (self.kind == ATTRIBUTES and self.name in _TIMES)
        return f"{field} {self.operator} {self.value if is_number else quote(self.value)}"


def joined(conditions: Sequence[Condition]) -> str:
    """Return a filter for MLflow that all *conditions* hold; an empty filter if there are none."""
    return " AND ".join(str(condition) for condition in conditions)


def condition(field: str, operator: str, value: str) -> Condition:
    """Return a condition from its parts: *field* as in a filter, *value* as typed, without quotes.

    Raises:
        BadFilter: MLflow cannot compare the field so.
    """
    kind, name = _field(field)
    return _checked(kind, name, operator, None if operator in _PRESENCE else value)


def parse_filter(text_of_filter: str) -> tuple[Condition, ...]:
    """Parse MLflow's search syntax: comparisons joined by AND. Times may be ISO 8601 in quotes.

    Raises:
        BadFilter: with one sentence that names what is wrong.
    """
    tokens = _Tokens(text_of_filter)
    conditions: list[Condition] = []
    while tokens:
        if conditions:
            _take_and(tokens)
        conditions.append(_parse_condition(tokens))
    return tuple(conditions)


def comparison(kind: str, written: str) -> Condition:
    """Parse NAME OPERATOR VALUE with the quotes left out, such as "rmse < 0.3" or "depth=3".

    Raises:
        BadFilter: *written* has another form.
    """
    match = _COMPARISON.match(written)
    if match is None:
        raise _error(text("{comparison} is not a comparison; write NAME = VALUE", comparison=repr(written)))
    value, operator = match["value"] or "", re.sub(r"\s+", " ", match["operator"]).upper()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    return _checked(kind, match["name"].strip("`"), operator, None if operator in _PRESENCE else value)


class _Tokens:
    """The tokens of a filter with their kinds, taken from the left."""

    def __init__(self, filter_text: str) -> None:
        self._tokens = [(match.lastgroup or "", match[0].strip()) for match in _TOKEN.finditer(filter_text)]
        self._next = 0

    def __bool__(self) -> bool:
        return self._next < len(self._tokens)

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self else ("end", "")

    def take(self) -> tuple[str, str]:
        token = self.peek()
        self._next += 1
        return token


def _take_and(tokens: _Tokens) -> None:
    kind, token = tokens.take()
    if token.upper() == "OR":
        raise _error(text("OR is not possible in MLflow's search; search once for each alternative"))
    if token.upper() != "AND":
        if kind == "text" or token in ("'", '"'):
            raise _error(
                text("a text with one kind of quotes inside is written in the other kind, before {token}", token=token)
            )
        raise _error(text("AND is missing before {token}", token=token))
    if not tokens:
        raise _error(text("a condition is missing after AND"))


def _parse_condition(tokens: _Tokens) -> Condition:
    kind, token = tokens.take()
    if kind == "bracket":
        raise _error(text("brackets around conditions are not possible in MLflow's search"))
    if token.upper() == "NOT":
        raise _error(text("NOT is only possible in IS NOT NULL and NOT IN; use != to exclude a value"))
    if kind not in ("field", "word") or token[0] in "+-.0123456789":
        raise _error(text("{token} is not a field; write a field first, such as metrics.rmse", token=token))
    field_kind, name = _field(token)
    operator = _operator(tokens, token)
    if operator in _PRESENCE:
        return _checked(field_kind, name, operator, None)
    if operator in ("IN", "NOT IN"):
        return _checked(field_kind, name, operator, _list(tokens, token))
    kind, value = tokens.take()
    if kind == "end":
        raise _error(text("a value is missing after {field} {operator}", field=token, operator=operator))
    if kind == "other" and value in "'\"`":
        raise _error(text("the quote before the value of {field} is not closed", field=token))
    is_text = kind == "text"
    if not is_text and _wants_text(field_kind, name):
        raise _error(text("the value of {field} is a text; write it in quotes: '{value}'", field=token, value=value))
    return _checked(field_kind, name, operator, value[1:-1] if is_text else value, is_text=is_text)


def _operator(tokens: _Tokens, field: str) -> str:
    kind, token = tokens.take()
    operator = token.upper()
    if operator in ("==", "<>"):
        raise _error(text("{operator} is not an operator; write = or !=", operator=token))
    if operator == "NOT" and tokens.peek()[1].upper() == "IN":
        tokens.take()
        return "NOT IN"
    if operator == "IS":
        second = tokens.take()[1].upper()
        if second == "NOT":
            operator, second = "IS NOT", tokens.take()[1].upper()
        if second != "NULL":
            raise _error(text("NULL is missing after IS"))
        return f"{operator} NULL"
    if kind == "sign" or operator in ("LIKE", "ILIKE", "IN"):
        return operator
    raise _error(text("an operator is missing after {field}, for example {field} = …", field=field))


def _list(tokens: _Tokens, field: str) -> tuple[str, ...]:
    values: list[str] = []
    if tokens.take()[1] != "(":
        raise _error(text("the values of {field} are written in brackets: ('a', 'b')", field=field))
    while True:
        kind, token = tokens.take()
        if kind != "text":
            raise _error(text("the values of {field} are texts in quotes: ('a', 'b')", field=field))
        values.append(token[1:-1])
        separator = tokens.take()[1]
        if separator == ")":
            return tuple(values)
        if separator != ",":
            raise _error(text("the bracket after {field} is not closed", field=field))


def _field(token: str) -> tuple[str, str]:
    """Return the kind and the name of a field such as metrics.rmse, metrics.`val loss` or start_time."""
    prefix, dot, name = token.partition(".")
    kind = _KINDS.get(prefix.lower())
    if dot and kind is None:
        raise _error(
            text(
                "{prefix} is not a kind of field; the kinds are metrics, params, tags, attributes and dataset",
                prefix=prefix,
            )
        )
    if kind is None or not dot:
        kind, name = ATTRIBUTES, token
    if name[:1] in ('"', "`"):
        name = name[1:-1]
    if kind == ATTRIBUTES:
        name = _ATTRIBUTE_ALIASES.get(name.lower(), name.lower())
        if name not in _ATTRIBUTES:
            raise _error(
                text(
                    "{field} is not a field; write metrics.{field}, params.{field} or tags.{field}, or one of {known}",
                    field=token,
                    known=", ".join(_ATTRIBUTES),
                )
                if not dot
                else text("a run has no attribute {field}; it has {known}", field=name, known=", ".join(_ATTRIBUTES))
            )
    if kind == DATASETS and name not in _DATASET_FIELDS:
        raise _error(
            text("a dataset has no field {field}; it has {known}", field=name, known=", ".join(_DATASET_FIELDS))
        )
    if not name:
        raise _error(text("a name is missing after {prefix}", prefix=f"{prefix}."))
    return kind, name


def _wants_text(kind: str, name: str) -> bool:
    return not (kind == METRICS or (kind == ATTRIBUTES and name in _TIMES))


def _operators(kind: str, name: str) -> tuple[str, ...]:
    if kind == ATTRIBUTES:
        return _NUMERIC if name in _TIMES else (*_TEXT, "IN", "NOT IN") if name == "run_id" else _TEXT
    return OPERATORS[kind]


def _checked(
    kind: str, name: str, operator: str, value: str | tuple[str, ...] | None, *, is_text: bool = False
) -> Condition:
    field, known = f"{kind}.{name}", _operators(kind, name)
    if operator not in known:
        raise _error(
            text(
                "{field} cannot be compared by {operator}; the operators are {known}",
                field=field,
                operator=operator,
                known=", ".join(known),
            )
        )
    if isinstance(value, str):
        if kind == METRICS:
            value = _number(field, value, is_text=is_text)
        elif kind == ATTRIBUTES and name in _TIMES:
            value = _milliseconds(field, value)
        elif kind == ATTRIBUTES and name == "status" and operator in ("=", "!="):
            value = _status(value)
    return Condition(kind=kind, name=name, operator=operator, value=value)


def _number(field: str, value: str, *, is_text: bool) -> str:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if is_text or not math.isfinite(number):
        raise _error(text("{field} is compared with a number, and {value} is not one", field=field, value=repr(value)))
    return value if re.fullmatch(r"-?\d+(\.\d+)?", value) else f"{number:.17g}".replace("e+", "e")


def _milliseconds(field: str, value: str) -> str:
    """Return a time as MLflow compares it: milliseconds since 1970."""
    if re.fullmatch(r"\d+", value) and len(value) > len("20260101"):
        return value
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _error(
            text(
                "{field} is compared with a time such as '2026-03-31' or '2026-03-31T12:00Z', and {value} is not one",
                field=field,
                value=repr(value),
            )
        ) from None
    return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def milliseconds(moment: datetime) -> str:
    """Return *moment* as MLflow compares it."""
    return str(math.floor(moment.timestamp() * 1000))


def _status(value: str) -> str:
    known = [status.value.upper() for status in RunStatus]
    if value.upper() not in known:
        raise _error(text("{value} is not a status; there are {known}", value=repr(value), known=", ".join(known)))
    return value.upper()


def quoted_name(name: str) -> str:
    """Return the name of a metric, parameter or tag as MLflow's syntax needs it.

    Raises:
        BadFilter: MLflow cannot search for such a name.
    """
    if re.fullmatch(r"[A-Za-z_]\w*", name):
        return name
    if "`" not in name:
        return f"`{name}`"
    if '"' not in name:
        return f'"{name}"'
    raise _error(text('a name with ` and " cannot be searched in MLflow: {name}', name=name))


def _error(cause: str) -> BadFilter:
    return BadFilter("The filter is not valid: {cause}. Example: {example}.", cause=cause, example=_EXAMPLE)
