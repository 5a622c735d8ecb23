"""Canonical JSON: one value has one text, whatever the machine."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.audit.canonical_json import canonical, storable
from core.entities import Stage

NOON_IN_UTC = datetime(2026, 3, 31, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (0, "0"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (0.1, "0.1"),
        (1e-07, "1e-07"),
        (2.0**53, "9007199254740992.0"),
        (2**53, "9007199254740992"),
        (float("nan"), '"NaN"'),
        (float("inf"), '"Infinity"'),
        (float("-inf"), '"-Infinity"'),
        (Decimal("1.50"), '"1.5"'),
        ("Zürich", '"Zürich"'),
        ('"\\\n', '"\\"\\\\\\n"'),
        (Stage.PRODUCTION, '"Production"'),
        (NOON_IN_UTC, '"2026-03-31T12:00:00.123456+00:00"'),
        ((1, [2, "x"]), '[1,[2,"x"]]'),
        ({"b": 1, "a": {"d": 2, "c": 3}}, '{"a":{"c":3,"d":2},"b":1}'),
        ({2: "number as key"}, '{"2":"number as key"}'),
        ({}, "{}"),
    ],
)
def test_value_has_this_text(value: object, text: str) -> None:
    assert canonical(value) == text


def test_composed_and_decomposed_letters_are_one_text() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert composed != decomposed
    assert canonical(composed) == canonical(decomposed)
    assert canonical({decomposed: 1}) == canonical({composed: 1})


def test_one_instant_in_two_zones_is_one_text() -> None:
    tokyo = NOON_IN_UTC.astimezone(timezone(timedelta(hours=9)))
    assert canonical(tokyo) == canonical(NOON_IN_UTC)


def test_order_of_keys_does_not_matter_and_order_of_lists_does() -> None:
    assert canonical({"x": 1, "y": 2}) == canonical({"y": 2, "x": 1})
    assert canonical([1, 2]) != canonical([2, 1])


@pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}, datetime(2026, 3, 31, 12), 1j])
def test_what_has_no_single_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="no canonical JSON"):
        canonical(value)


def test_two_keys_that_are_one_in_normal_form_are_refused() -> None:
    with pytest.raises(TypeError, match="two keys"):
        canonical({"caf\u00e9": 1, "cafe\u0301": 2})
    with pytest.raises(TypeError, match="two keys"):
        canonical({1: "a", "1": "b"})


@pytest.mark.parametrize("text", ["\ud83d", "a\x00b"])
def test_what_no_database_holds_becomes_the_replacement_character(text: str) -> None:
    kept = storable(text)
    assert "\N{REPLACEMENT CHARACTER}" in kept
    assert kept.encode()
    assert storable(kept) == kept


def test_hash_of_a_known_value_is_what_sha256sum_says() -> None:
    # printf '{"a":1,"b":"é"}' | sha256sum
    expected = "09ad9fd2fb648cb2f62141215828ea00a62c299db05d20aa9ade2f527a301cc6"
    assert hashlib.sha256(canonical({"b": "e\u0301", "a": 1.0}).encode()).hexdigest() == expected


_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abcdef"), inner), max_leaves=20
)


@given(_values)
def test_text_is_json_and_settling_it_again_changes_nothing(value: object) -> None:
    text = canonical(value)
    assert text.encode()
    assert canonical(json.loads(text)) == text
