"""Which data a run says it was trained on: every claim it left, where it was found and what contradicts it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

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
    claims = [claim for claim in _claims(run, version) if claim.version is not None]
    found: list[DataSource] = []
    for claim in claims:
        rivals = [other for other in found if other.table == claim.table or claim.table is None]
        if not rivals:
            found.append(claim)
            continue
        if all(other.version != claim.version for other in rivals):
            first = found.index(rivals[0])
            finding = f"{claim.source_of_truth} says version {claim.version}"
            found[first] = _with_finding(found[first], finding)
    if not found:
        where = "its run is gone" if run is None or run.is_deleted else "its run logged none"
        return (
            DataSource(
                table=None, version=None, source_of_truth="none", findings=(f"no data version is known: {where}",)
            ),
        )
    return tuple(found)


def _with_finding(source: DataSource, finding: str) -> DataSource:
    return DataSource(
        table=source.table,
        version=source.version,
        source_of_truth=source.source_of_truth,
        findings=(*source.findings, finding),
    )


def _claims(run: Run | None, version: ModelVersion | None) -> Iterator[DataSource]:
    if run is not None:
        yield DataSource(
            table=run.tags.get("delta.table"), version=_number(run.tags.get("delta.version")), source_of_truth=TAG
        )
        yield from _spark_claims(run.tags.get("sparkDatasourceInfo", ""))
        yield DataSource(
            table=run.tags.get("delta.table"), version=_number(run.params.get("DataV")), source_of_truth=PARAM
        )
    if version is not None and version.data is not None:
        yield DataSource(table=version.data.table, version=version.data.version, source_of_truth=STAMP)


def _spark_claims(info: str) -> Iterator[DataSource]:
    """Lines `path=…,version=…,format=delta`; a path may hold commas, so they are read from the right."""
    for line in info.splitlines():
        rest, _, file_format = line.rpartition(",format=")
        path, _, number = rest.rpartition(",version=")
        if file_format == "delta" and path.startswith("path="):
            yield DataSource(table=path.removeprefix("path="), version=_number(number), source_of_truth=SPARK)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdigit() else None
