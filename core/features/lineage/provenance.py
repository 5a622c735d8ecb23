"""Provenance: the data versions that a run and its model version claim, which claim counts, and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from core.entities import ModelVersion, Run, TableVersion
from core.texts import text

# Sources of claims, most trusted first.
TAG = "tag delta.version"
PARAM = "param DataV"
SPARK = "tag sparkDatasourceInfo"
STAMP = "model version tag"


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data version that a model was made from. *table* or *version* is None if no claim names it."""

    table: str | None
    version: int | None
    source_of_truth: str
    findings: tuple[str, ...] = ()

    @property
    def key(self) -> TableVersion | None:
        if self.table is None or self.version is None:
            return None
        return TableVersion(table=self.table, version=self.version)


def data_sources(run: Run | None, version: ModelVersion | None = None) -> tuple[DataSource, ...]:
    """Return every data version that *run* and the tags of *version* claim, the most trusted claim first.

    A tag outranks a parameter, because a parameter cannot name the table. A claim that contradicts a more trusted one
    is a finding of that one. Without any claim the result is one source without table and version.
    """
    sources = _ranked(tuple(_claims(run, version)))
    if sources:
        return sources
    if run is None or run.is_deleted:
        finding = text("No data version is known: the run was deleted or erased.")
    else:
        finding = text("No data version is known: the run logged none.")
    return (DataSource(table=None, version=None, source_of_truth="none", findings=(finding,)),)


# Table, version, and the source of the claim.
_Claim = tuple[str | None, int | None, str]


# The many versions of a model were trained on few data versions: the same claims come again and again.
@lru_cache(maxsize=4_096)
def _ranked(claims: tuple[_Claim, ...]) -> tuple[DataSource, ...]:
    sources: list[DataSource] = []
    for table, number, origin in claims:
        if number is None:
            continue
        rivals = [source for source in sources if source.table == table or table is None]
        if not rivals:
            sources.append(DataSource(table=table, version=number, source_of_truth=origin))
        elif all(rival.version != number for rival in rivals):
            index = sources.index(rivals[0])
            finding = text("{claim} names version {version}", claim=origin, version=number)
            sources[index] = replace(sources[index], findings=(*sources[index].findings, finding))
    return tuple(sources)


def _claims(run: Run | None, version: ModelVersion | None) -> Iterator[_Claim]:
    if run is not None:
        table = run.tags.get("delta.table")
        yield table, _number(run.tags.get("delta.version")), TAG
        yield from _spark_claims(run.tags.get("sparkDatasourceInfo", ""))
        yield table, _number(run.params.get("DataV")), PARAM
    tagged = None if version is None else version.data
    if tagged is not None:
        yield tagged.table, tagged.version, STAMP


def _spark_claims(info: str) -> Iterator[_Claim]:
    """Yield the claims in lines `path=…,version=…,format=delta`, read from the right: a path may hold commas."""
    for line in info.splitlines():
        rest, _, file_format = line.rpartition(",format=")
        path, _, number = rest.rpartition(",version=")
        if file_format == "delta" and path.startswith("path="):
            yield path.removeprefix("path="), _number(number), SPARK


def _number(digits: str | None) -> int | None:
    return int(digits) if digits is not None and digits.isdigit() else None
