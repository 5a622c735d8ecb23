"""Claim rules: the setting MODELLEDGER_CLAIMS, which names the params and tags that say what a run was trained on."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from core.delta.addresses import address
from core.errors import BadSettings
from core.features.lineage.version_numbers import version_number

_KEYS = ("version", "table", "value", "experiment", "model")
_SETTING = "MODELLEDGER_CLAIMS"
_PARAMS, _TAGS = "params.", "tags."
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, kw_only=True)
class FoundName:
    """A param or tag that a rule matches. *value* is its text; None if only the table is named."""

    source: str
    table: str | None
    version: int | None
    value: str | None


@dataclass(frozen=True, kw_only=True)
class ClaimRule:
    """Where runs name their data: in the param or tag *version*, and in *table*.

    *version* is written `params.NAME` or `tags.NAME`, or NAME for both; it may contain {table}. *value* is the form of
    its text, for example `{table}@{version}`; by default a number or v and a number. *table* is a param or tag too, or
    the table itself. *experiment* and *model* are patterns with * and ?, which limit the rule.
    """

    version: str = "params.DataV"
    table: str = ""
    value: str = ""
    experiment: str = ""
    model: str = ""

    def applies_to(self, *, experiment: str | None, model: str | None) -> bool:
        """Whether the rule is for a run of this *experiment* or a version of this *model*; None is unknown."""
        return all(
            not pattern or (name is not None and fnmatchcase(name, pattern))
            for pattern, name in ((self.experiment, experiment), (self.model, model))
        )

    def read(self, *, params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[FoundName]:
        """Yield what the params and tags of one run say."""
        places = [(_PARAMS, "param", params), (_TAGS, "tag", tags)]
        has_version = False
        for prefix, kind, values in places:
            if self.version.startswith((_PARAMS, _TAGS)) and not self.version.startswith(prefix):
                continue
            pattern = _pattern(self.version.removeprefix(prefix))
            for name, value in values.items():
                match = pattern.fullmatch(name)
                if match is None or (pattern.groups and name.startswith("mlflow.")):
                    continue
                has_version = True
                named = {**_parse(self.value, value), **match.groupdict()}
                table = self._table(named.get("table"), params, tags)
                number = version_number(named.get("version", value), prefix="v")
                yield FoundName(source=f"{kind} {name}", table=table, version=number, value=value)
        if not has_version:
            yield from self._table_only(params, tags)

    def names_tag(self, name: str) -> bool:
        """Whether the rule reads the tag *name*."""
        if self.table == f"{_TAGS}{name}":
            return True
        return not self.version.startswith(_PARAMS) and bool(_pattern(self.version.removeprefix(_TAGS)).fullmatch(name))

    def _table_only(self, params: Mapping[str, str], tags: Mapping[str, str]) -> Iterator[FoundName]:
        """Yield the table of a run that names no version: from its param or tag, or fixed for its experiment or model.

        A fixed table without a limit says nothing about a run that names no version.
        """
        table = self._table(None, params, tags)
        is_named = self.table.startswith((_PARAMS, _TAGS))
        if table is not None and (is_named or self.experiment or self.model):
            source = self.table.replace("s.", " ", 1) if is_named else _SETTING
            yield FoundName(source=source, table=table, version=None, value=None)

    def _table(self, named: str | None, params: Mapping[str, str], tags: Mapping[str, str]) -> str | None:
        for prefix, values in ((_PARAMS, params), (_TAGS, tags)):
            if self.table.startswith(prefix):
                return values.get(self.table.removeprefix(prefix)) or None
        if "{table}" in self.table:
            return self.table.replace("{table}", named) if named else None
        return named or self.table or None


@dataclass(frozen=True, kw_only=True)
class SameAddress:
    """Two addresses of one place: *address* where runs are trained, *same_as* where ModelLedger reads it."""

    address: str
    same_as: str

    def apply(self, reference: str) -> str | None:
        """Return *reference* with the place as ModelLedger names it; None if it is not below *address*."""
        normal, place = address(reference) or reference, address(self.address) or self.address
        if normal == place:
            return self.same_as
        below = normal.removeprefix(place.rstrip("/") + "/")
        return None if below == normal else f"{self.same_as.rstrip('/')}/{below}"


def read_rules(setting: Sequence[Mapping[str, str]]) -> tuple[tuple[ClaimRule, ...], tuple[SameAddress, ...]]:
    """Return the rules and the equal addresses of MODELLEDGER_CLAIMS. Raises BadSettings for the first bad entry."""
    rules: list[ClaimRule] = []
    addresses: list[SameAddress] = []
    for number, entry in enumerate(setting, start=1):
        if set(entry) == {"address", "same_as"}:
            addresses.append(SameAddress(address=entry["address"], same_as=_absolute(entry["same_as"])))
        else:
            rules.append(_rule(number, entry))
    return tuple(rules), tuple(addresses)


def _absolute(place: str) -> str:
    """Return a relative path as an absolute one; an address or a registered name stays as it is."""
    is_path = "/" in place and address(place) is None
    return os.path.abspath(os.path.expanduser(place)) if is_path else place


def _rule(number: int, entry: Mapping[str, str]) -> ClaimRule:
    unknown = [key for key in entry if key not in _KEYS]
    if unknown:
        raise BadSettings(
            "{setting}: entry {number} has the unknown key {key!r}. An entry has the keys {keys}, or address and "
            "same_as.",
            setting=_SETTING,
            number=number,
            key=unknown[0],
            keys=", ".join(_KEYS),
        )
    rule = ClaimRule(**entry)
    if "version" not in entry and "table" not in entry:
        raise BadSettings(
            "{setting}: entry {number} names neither the param or tag of the version nor the table.",
            setting=_SETTING,
            number=number,
        )
    for key, text, allowed in (
        ("version", rule.version, {"table"}),
        ("value", rule.value, {"table", "version"}),
        ("table", rule.table, {"table"}),
    ):
        names = _PLACEHOLDER.findall(text)
        if not set(names) <= allowed or len(names) != len(set(names)):
            raise BadSettings(
                "{setting}: entry {number} has a placeholder in {key} that is unknown or is used twice; allowed: "
                "{allowed}.",
                setting=_SETTING,
                number=number,
                key=key,
                allowed=", ".join(f"{{{name}}}" for name in sorted(allowed)),
            )
    return rule


def _parse(form: str, value: str) -> dict[str, str]:
    """Return the parts of *value*: table and version. A value of another form has none."""
    if not form:
        return {}
    match = _pattern(form).fullmatch(value.strip())
    return match.groupdict() if match else {}


@lru_cache(maxsize=256)
def _pattern(form: str) -> re.Pattern[str]:
    parts = _PLACEHOLDER.split(form)
    return re.compile(
        "".join(f"(?P<{part}>.+)" if position % 2 else re.escape(part) for position, part in enumerate(parts)),
        re.DOTALL,
    )
