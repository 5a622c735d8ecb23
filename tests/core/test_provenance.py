"""Claims about the data of a run: the order of belief, contradictions, and version 0."""

from __future__ import annotations

from datetime import UTC, datetime

from core.entities import ModelVersion, Run, RunStatus, Stage
from core.features.lineage.provenance import data_sources


def a_run(*, params: dict[str, str] | None = None, tags: dict[str, str] | None = None, is_deleted: bool = False) -> Run:
    return Run(
        run_id="r1",
        name="run",
        experiment="e",
        status=RunStatus.FINISHED,
        started=None,
        ended=None,
        user=None,
        params=params or {},
        metrics={},
        tags=tags or {},
        data=None,
        is_deleted=is_deleted,
    )


def a_version(**tags: str) -> ModelVersion:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(
        model="m",
        version=1,
        stage=Stage.NONE,
        run_id="r1",
        source=None,
        created=now,
        updated=now,
        description="",
        tags={name.replace("_", ".", 1): value for name, value in tags.items()},
    )


def test_version_zero_is_a_version() -> None:
    (source,) = data_sources(a_run(tags={"delta.table": "t", "delta.version": "0"}, params={"DataV": "0"}))
    assert (source.table, source.version, source.source_of_truth) == ("t", 0, "tag delta.version")
    assert source.findings == ()


def test_a_tag_outranks_the_param_and_the_contradiction_is_a_finding() -> None:
    (source,) = data_sources(a_run(tags={"delta.table": "t", "delta.version": "2"}, params={"DataV": "1"}))
    assert source.version == 2
    assert source.findings == ("param DataV names version 1",)


def test_param_alone_names_a_version_of_an_unknown_table() -> None:
    (source,) = data_sources(a_run(params={"DataV": "4"}))
    assert (source.table, source.version, source.source_of_truth) == (None, 4, "param DataV")
    assert source.key is None


def test_spark_tag_is_parsed_from_the_right_because_paths_may_hold_commas() -> None:
    info = "path=/data/a,version=9,b,version=3,format=delta\npath=/data/c,version=0,format=delta\npath=/x,format=csv"
    found = data_sources(a_run(tags={"sparkDatasourceInfo": info}))
    assert [(s.table, s.version) for s in found] == [("/data/a,version=9,b", 3), ("/data/c", 0)]


def test_tags_of_the_model_version_count_when_its_run_is_deleted() -> None:
    (source,) = data_sources(None, a_version(delta_table="t", delta_version="0"))
    assert (source.table, source.version, source.source_of_truth) == ("t", 0, "model version tag")


def test_no_claim_at_all_is_a_finding_and_not_a_guess() -> None:
    (logged_none,) = data_sources(a_run())
    assert (logged_none.table, logged_none.version) == (None, None)
    assert logged_none.findings == ("No data version is known: the run logged none.",)
    (gone,) = data_sources(a_run(is_deleted=True))
    assert gone.findings == ("No data version is known: the run was deleted or erased.",)
