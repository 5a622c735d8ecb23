"""Claims: what MLflow says about the data of a run and its model version. One function per source of claims."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.entities import DatasetInput, DataUse, ModelVersion, Run, TableVersion
from core.features.lineage.claim_rules import ClaimRule
from core.features.lineage.version_numbers import version_number
from core.texts import text

# Names of the sources, as people see them.
TAG = "tag delta.version"
SPARK = "tag sparkDatasourceInfo"
PARAM = "param DataV"
VERSION_TAG = "model version tag"

# Words of a context that mean another use than training. MLflow does not limit what a context is.
_EVALUATION = frozenset(
    {"eval", "evaluate", "evaluation", "valid", "val", "validate", "validation", "test", "testing", "holdout"}
    | {"inference", "scoring", "prediction"}
)
# mlflow.data.load_delta names a dataset TABLE@vN, also for the version 0 that its source leaves out.
_NAMED_VERSION = re.compile(r"^(?P<table>.+)@v(?P<version>\d+)$", re.DOTALL)
# A name is the same wherever the table lies, so it comes first.
_TABLE_KEYS = ("delta_table_name", "table_name", "path", "uri", "url")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement about the data that was used. *table* is a name, a path or a URI as written; *address* is another
    one of the same table.

    *note* says what is missing where *table* or *version* is None. *input* is the dataset input that makes the claim.
    """

    source: str
    table: str | None
    version: int | None
    address: str | None = None
    use: DataUse = DataUse.TRAINING
    table_id: str | None = None
    note: str | None = None
    input: DatasetInput | None = None


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the sources read: a run, a model version, or both, and the rules for names that a team uses."""

    run: Run | None
    version: ModelVersion | None
    rules: Sequence[ClaimRule] = ()


def all_claims(evidence: Evidence) -> tuple[Claim, ...]:
    """Return every claim, the most trusted source first."""
    return tuple(claim for source in SOURCES for claim in source(evidence))


def claimed_version(run: Run) -> TableVersion | None:
    """Return the first data version that *run* claims, as written: what an inspection records and compares."""
    for claim in all_claims(Evidence(run=run, version=None)):
        if claim.table is not None and claim.version is not None:
            return TableVersion(table=claim.table, version=claim.version)
    return None


def delta_tags(evidence: Evidence) -> Iterator[Claim]:
    """The run's tags delta.table, delta.version and delta.table_id, which ModelLedger's trainings log."""
    if evidence.run is not None:
        yield from _from_tags(evidence.run.tags, TAG)


def configured_names(evidence: Evidence) -> Iterator[Claim]:
    """The params and tags that MODELLEDGER_CLAIMS names. A name that two entries match belongs to the first."""
    run, version = evidence.run, evidence.version
    model = version.model if version else None
    tags = (run.tags if run else {}) or (version.tags if version else {})
    read: set[str] = set()
    for rule in evidence.rules:
        if not rule.applies_to(experiment=run.experiment if run else None, model=model):
            continue
        named = [found for found in rule.read(params=run.params if run else {}, tags=tags) if found.source not in read]
        read |= {found.source for found in named}
        for found in named:
            note = None
            if found.version is None and found.value is not None:
                note = text(
                    "{claim} is {value}, which is not the version of a Delta table.",
                    claim=found.source,
                    value=found.value,
                )
            elif found.version is None:
                note = text("{claim} names no version.", claim=found.source)
            yield Claim(source=found.source, table=found.table, version=found.version, note=note)


def dataset_inputs(evidence: Evidence) -> Iterator[Claim]:
    """The inputs that the run logged by `mlflow.log_input`."""
    for item in evidence.run.inputs if evidence.run else ():
        yield _from_input(item)


def spark_datasource_info(evidence: Evidence) -> Iterator[Claim]:
    """The lines `path=…,version=…,format=delta` of Spark's autologging, read from the right: a path may hold commas."""
    for line in (evidence.run.tags.get("sparkDatasourceInfo", "") if evidence.run else "").splitlines():
        rest, _, file_format = line.strip().rpartition(",format=")
        path, _, digits = rest.rpartition(",version=")
        if file_format == "delta" and path.startswith("path="):
            number = version_number(digits)
            note = text("{claim} names no version.", claim=SPARK) if number is None else None
            yield Claim(source=SPARK, table=path.removeprefix("path="), version=number, note=note)


def data_v_param(evidence: Evidence) -> Iterator[Claim]:
    """The param DataV, a number such as 3 or v3. It names no table of its own."""
    run = evidence.run
    if run is None or "DataV" not in run.params:
        return
    value = run.params["DataV"]
    number = version_number(value, prefix="v")
    note = None
    if number is None:
        note = text("{claim} is {value}, which is not the version of a Delta table.", claim=PARAM, value=value)
    yield Claim(source=PARAM, table=run.tags.get("delta.table") or None, version=number, note=note)


def version_tags(evidence: Evidence) -> Iterator[Claim]:
    """The tags delta.table, delta.version and delta.table_id of the model version itself."""
    if evidence.version is not None:
        yield from _from_tags(evidence.version.tags, VERSION_TAG)


# A new source of claims is one function and one entry. The order is the order of trust: a tag or param that a team
# chose is written for this run, while MLflow may show the source of another run's dataset (mlflow#11560).
SOURCES: tuple[Callable[[Evidence], Iterator[Claim]], ...] = (
    delta_tags,
    configured_names,
    dataset_inputs,
    spark_datasource_info,
    data_v_param,
    version_tags,
)


def _from_tags(tags: Mapping[str, str], source: str) -> Iterator[Claim]:
    table, value = tags.get("delta.table") or None, tags.get("delta.version")
    number = version_number(value)
    if value is None and table is None:
        return
    note = None
    if number is None:
        note = text("{claim} is missing.", claim=source)
        if value is not None:
            note = text("{claim} is {value}, which is not the version of a Delta table.", claim=source, value=value)
    yield Claim(source=source, table=table, version=number, table_id=tags.get("delta.table_id") or None, note=note)


def _from_input(item: DatasetInput) -> Claim:
    source = text("dataset input {name}", name=item.name)
    fields = _fields(item.source)
    named_tables = [str(fields[key]) for key in _TABLE_KEYS if fields.get(key)]
    table = named_tables[0] if named_tables else None
    number = version_number(fields.get("delta_table_version"))
    named = _NAMED_VERSION.match(item.name)
    if number is None and named is not None and table is not None and _ends_alike(named["table"], table):
        number = version_number(named["version"])
    note = None
    if table is None:
        note = text("{claim} names no table.", claim=source)
    elif number is None and item.source_type == "delta_table":
        note = text(
            "{claim} names no version. MLflow leaves version 0 out, so version 0 or any other version may be meant.",
            claim=source,
        )
    elif number is None:
        note = text("{claim} names no version of a Delta table.", claim=source)
    table_id = fields.get("delta_table_id")
    return Claim(
        source=source,
        table=table,
        version=number,
        address=named_tables[1] if len(named_tables) > 1 else None,
        use=_use(item.context),
        table_id=str(table_id) if table_id else None,
        note=note,
        input=item,
    )


def _fields(source: str) -> Mapping[str, Any]:
    try:
        fields = json.loads(source)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _ends_alike(name: str, table: str) -> bool:
    """Whether a dataset's name and its source name one table: MLflow completes loans to spark_catalog.default.loans."""
    return table == name or table.endswith(f".{name}")


def _use(context: str | None) -> DataUse:
    words = set(re.split(r"[^a-z]+", (context or "").lower()))
    if words & _EVALUATION and not any(word.startswith("train") for word in words):
        return DataUse.EVALUATION
    return DataUse.TRAINING
