"""Which data a run says it was trained on: every claim it left, where it was found and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from core.entities import ModelVersion, Run, TableVersion

# Claims in the order in which they are believed.
TAG = "tag delta.version"
PARAM = "param DataV"
SPARK = "tag sparkDatasourceInfo"
STAMP = "model version tag"


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data version that a model was made from. *table* or *version* is None where no claim named it."""

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
    """Every data version that *run* (and the model version's own stamp) claims, the most trusted claim first.

    A tag outranks a param: params cannot say which table. What contradicts it is a finding, never smoothed over.
    """
    found = _believed(tuple(_claims(run, version)))
    if found:
        return found
    where = "its run is gone" if run is None or run.is_deleted else "its run logged none"
    finding = f"no data version is known: {where}"
    return (DataSource(table=None, version=None, source_of_truth="none", findings=(finding,)),)


# A table, its version, and where that is said.
_Claim = tuple[str | None, int | None, str]


# The many versions of a model were trained on few versions of data.
@lru_cache(maxsize=4_096)
def _believed(claims: tuple[_Claim, ...]) -> tuple[DataSource, ...]:
    found: list[DataSource] = []
    for table, number, where in claims:
        if number is None:
            continue
        rivals = [other for other in found if other.table == table or table is None]
        if not rivals:
            found.append(DataSource(table=table, version=number, source_of_truth=where))
        elif all(other.version != number for other in rivals):
            first = found.index(rivals[0])
            told = (*found[first].findings, f"{where} says version {number}")
            found[first] = replace(found[first], findings=told)
    return tuple(found)


def _claims(run: Run | None, version: ModelVersion | None) -> Iterator[_Claim]:
    if run is not None:
        table = run.tags.get("delta.table")
        yield table, _number(run.tags.get("delta.version")), TAG
        yield from _spark_claims(run.tags.get("sparkDatasourceInfo", ""))
        yield table, _number(run.params.get("DataV")), PARAM
    stamped = None if version is None else version.data
    if stamped is not None:
        yield stamped.table, stamped.version, STAMP


def _spark_claims(info: str) -> Iterator[_Claim]:
    """Lines `path=…,version=…,format=delta`; a path may hold commas, so they are read from the right."""
    for line in info.splitlines():
        rest, _, file_format = line.rpartition(",format=")
        path, _, number = rest.rpartition(",version=")
        if file_format == "delta" and path.startswith("path="):
            yield path.removeprefix("path="), _number(number), SPARK


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
