"""Claims about the data of a run: every source, the order of trust, contradictions, weak claims, and version 0."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.delta.catalog import RegisteredTables
from core.entities import DatasetInput, DataSource, DataUse, ModelVersion, Run, RunStatus, Stage, Table
from core.errors import BadSettings
from core.features.lineage.claim_rules import read_rules
from core.features.lineage.claims import claimed_version
from core.features.lineage.provenance import Provenance, mixed_up
from core.settings import load_settings

LOANS = Table(name="loans", uri="/lake/loans")
SALES = Table(name="sales", uri="/lake/sales")


def a_run(
    *,
    params: dict[str, str] | None = None,
    tags: dict[str, str] | None = None,
    inputs: Sequence[DatasetInput] = (),
    experiment: str = "e",
    is_deleted: bool = False,
) -> Run:
    return Run(
        run_id="r1",
        name="run",
        experiment=experiment,
        status=RunStatus.FINISHED,
        started=None,
        ended=None,
        user=None,
        params=params or {},
        metrics={},
        tags=tags or {},
        inputs=tuple(inputs),
        is_deleted=is_deleted,
    )


def a_version(*, run_id: str | None = "r1", model: str = "m", **tags: str) -> ModelVersion:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return ModelVersion(
        model=model,
        version=1,
        stage=Stage.NONE,
        run_id=run_id,
        source=None,
        created=now,
        updated=now,
        description="",
        tags={name.replace("_", ".", 1): value for name, value in tags.items()},
    )


def an_input(
    source: Mapping[str, object] | str,
    *,
    name: str = "dataset",
    kind: str = "delta_table",
    context: str | None = "training",
    digest: str = "d1",
) -> DatasetInput:
    text = source if isinstance(source, str) else json.dumps(source)
    return DatasetInput(name=name, digest=digest, source_type=kind, source=text, context=context)


def sources(
    run: Run | None, version: ModelVersion | None = None, *, claims: Sequence[Mapping[str, str]] = ()
) -> tuple[DataSource, ...]:
    rules, same_addresses = read_rules(claims)
    reader = Provenance(tables=RegisteredTables([LOANS, SALES]), rules=rules, same_addresses=same_addresses)
    return reader.sources(run, version)


def test_version_zero_is_a_version() -> None:
    (source,) = sources(a_run(tags={"delta.table": "loans", "delta.version": "0"}, params={"DataV": "0"}))
    assert (str(source.key), source.source_of_truth, source.findings) == ("loans@0", "tag delta.version", ())


def test_a_tag_outranks_the_param_and_the_contradiction_is_a_finding() -> None:
    (source,) = sources(a_run(tags={"delta.table": "loans", "delta.version": "2"}, params={"DataV": "1"}))
    assert source.version == 2
    assert (source.findings, source.other_versions) == (("param DataV names version 1",), (1,))


def test_param_alone_names_a_version_of_an_unknown_table() -> None:
    (source,) = sources(a_run(params={"DataV": "v4"}))
    assert (source.table, source.version, source.source_of_truth) == (None, 4, "param DataV")
    assert (source.key, str(source)) == (None, "?@4")


def test_spark_tag_is_parsed_from_the_right_because_paths_may_hold_commas() -> None:
    info = (
        "path=/data/a,version=9,b,version=3,format=delta\npath=file:/lake/loans,version=0,format=delta\n"
        "path=/x,format=csv\npath=/y,version=,format=delta\nnonsense"
    )
    found = sources(a_run(tags={"sparkDatasourceInfo": info}))
    assert [(s.table, s.version) for s in found] == [("/data/a,version=9,b", 3), ("loans", 0), ("/y", None)]


def test_tags_of_the_model_version_count_when_its_run_is_deleted() -> None:
    (source,) = sources(None, a_version(delta_table="loans", delta_version="0"))
    assert (str(source.key), source.source_of_truth) == ("loans@0", "model version tag")


def test_no_claim_at_all_is_a_finding_and_not_a_guess() -> None:
    (logged_none,) = sources(a_run())
    assert (logged_none.table, logged_none.version) == (None, None)
    assert logged_none.findings == ("No data version is known: the run logged none.",)
    (gone,) = sources(a_run(is_deleted=True))
    assert gone.findings == ("No data version is known: the run was deleted or erased.",)
    (without_run,) = sources(None, a_version(run_id=None))
    assert without_run.findings == ("No data version is known: the version names no run.",)


@pytest.mark.parametrize(
    "source",
    [
        {"path": "/lake/loans", "delta_table_version": 3},
        {"path": "/lake/loans", "delta_table_version": "3"},
        {"path": "file:///lake/loans/", "delta_table_version": 3},
        {"delta_table_name": "loans", "delta_table_version": 3, "is_databricks_uc_table": True},
        {"delta_table_name": "elsewhere", "path": "/lake/loans", "delta_table_version": 3},
    ],
)
def test_dataset_input_names_a_version_of_a_delta_table(source: dict[str, object]) -> None:
    (found,) = sources(a_run(inputs=[an_input(source)]))
    assert (str(found.key), found.source_of_truth) == ("loans@3", "dataset input dataset")
    assert (found.context, found.is_weak) == (DataUse.TRAINING, False)


def test_version_that_mlflow_lost_is_unknown_and_not_the_latest() -> None:
    (found,) = sources(a_run(inputs=[an_input({"path": "/lake/loans"})]))
    assert (found.table, found.version, found.key) == ("loans", None, None)
    assert "MLflow leaves version 0 out" in found.findings[0]
    # The name that mlflow.data.load_delta gives a dataset keeps the version.
    (named,) = sources(a_run(inputs=[an_input({"delta_table_name": "x.y.loans"}, name="loans@v0")]))
    assert named.version == 0
    (other,) = sources(a_run(inputs=[an_input({"delta_table_name": "x.y.loans"}, name="stock@v7")]))
    assert other.version is None
    # A param gives the version that the input lacks.
    (completed,) = sources(a_run(inputs=[an_input({"path": "/lake/loans"})], params={"DataV": "0"}))
    assert (str(completed.key), completed.findings) == ("loans@0", ())
    assert completed.source_of_truth == "dataset input dataset with param DataV"


@pytest.mark.parametrize("context", ["evaluation", "eval", "test", "validation", "Val", "holdout_2026"])
def test_evaluation_data_is_not_training_data(context: str) -> None:
    trained = an_input({"path": "/lake/loans", "delta_table_version": 1}, name="a")
    evaluated = an_input({"path": "/lake/loans", "delta_table_version": 2}, name="b", context=context)
    found = sources(a_run(inputs=[evaluated, trained]))
    assert [(str(s), s.is_training, s.findings) for s in found] == [("loans@1", True, ()), ("loans@2", False, ())]
    only = sources(a_run(inputs=[evaluated]))
    assert [(str(s), s.is_training) for s in only] == [("?@?", True), ("loans@2", False)]


@pytest.mark.parametrize("context", [None, "", "training", "train", "fine-tuning", "train_test_split"])
def test_any_other_context_is_training(context: str | None) -> None:
    (found,) = sources(a_run(inputs=[an_input({"path": "/lake/loans", "delta_table_version": 1}, context=context)]))
    assert found.is_training


def test_all_training_inputs_count() -> None:
    found = sources(
        a_run(
            inputs=[
                an_input({"path": "/lake/loans", "delta_table_version": 1}, name="a"),
                an_input({"path": "/lake/loans", "delta_table_version": 2}, name="b"),
                an_input({"path": "s3://lake/stock", "delta_table_version": 5}, name="c"),
            ]
        )
    )
    assert [str(s) for s in found] == ["loans@1", "loans@2", "s3://lake/stock@5"]
    assert [s.resolved for s in found] == [LOANS, LOANS, None]


def test_inputs_that_name_no_delta_version_are_shown_as_such() -> None:
    found = sources(
        a_run(
            inputs=[
                an_input({"tags": {"mlflow.user": "ann"}}, kind="code", name="a"),
                an_input({"uri": "/data/loans.csv"}, kind="local", name="b"),
                an_input({"table_name": "main.risk.stock"}, kind="spark", name="c"),
                an_input("not JSON", kind="http", name="d"),
                an_input("[" * 100_000, kind="http", name="deep"),
                an_input({"path": "/lake/loans", "delta_table_version": 1}, name="e"),
            ]
        )
    )
    assert str(found[0]) == "loans@1"
    assert [(s.table, s.version) for s in found[1:]] == [
        (None, None),
        ("/data/loans.csv", None),
        ("main.risk.stock", None),
        (None, None),
        (None, None),
    ]
    assert all(s.findings for s in found[1:])


@pytest.mark.parametrize("version", ["-1", "²", "1.5", True, 1e300, 10**30, "9" * 30, None, [1], " ", "0x1"])
def test_text_that_is_no_version_is_not_read_as_one(version: object) -> None:
    (found,) = sources(a_run(inputs=[an_input({"path": "/lake/loans", "delta_table_version": version})]))
    assert (found.table, found.version) == ("loans", None)
    run = a_run(tags={"delta.table": "loans", "delta.version": str(version)}, params={"DataV": str(version)})
    assert all(s.version is None for s in sources(run))
    assert claimed_version(run) is None


def test_input_that_another_claim_of_the_run_contradicts_is_weak() -> None:
    """mlflow#11560: the second version of a table with equal rows is shown with the source of the first."""
    logged = an_input({"path": "/lake/loans", "delta_table_version": 1}, digest="same")
    (contradicted,) = sources(a_run(inputs=[logged], params={"DataV": "2"}))
    assert contradicted.version == 1
    assert contradicted.findings == ("param DataV names version 2",)
    assert "one source for all datasets" in (contradicted.weak or "")
    (agreeing,) = sources(a_run(inputs=[logged], params={"DataV": "1"}))
    assert not agreeing.is_weak


def test_input_whose_dataset_another_run_contradicts_is_weak() -> None:
    logged = an_input({"path": "/lake/loans", "delta_table_version": 1}, digest="same")
    alone = a_run(inputs=[logged])
    contradicting = a_run(inputs=[logged], tags={"delta.table": "loans", "delta.version": "2"})
    reader = Provenance(tables=RegisteredTables([LOANS]))

    def is_weak(*others: Run) -> bool:
        marked = Provenance(tables=reader.tables, mixed_up=mixed_up(reader, [alone, *others]))
        (source,) = marked.sources(alone)
        return source.is_weak

    assert is_weak(contradicting)
    assert not is_weak()
    assert not is_weak(a_run(inputs=[logged], tags={"delta.table": "loans", "delta.version": "1"}))
    assert not is_weak(a_run(inputs=[logged], tags={"delta.table": "sales", "delta.version": "2"}))
    assert not is_weak(a_run(inputs=[logged], params={"DataV": "2"}, experiment="another"))


@pytest.mark.parametrize(
    ("rule", "params", "tags", "expected"),
    [
        (
            {"version": "params.data_version", "table": "params.data_path"},
            {"data_version": "3", "data_path": "/lake/loans"},
            {},
            [("loans", 3, "param data_version")],
        ),
        (
            {"version": "data_version", "table": "data_path"},
            {},
            {"data_version": "3"},
            [("data_path", 3, "tag data_version")],
        ),
        ({"version": "params.DataV", "table": "loans"}, {"DataV": "v3"}, {}, [("loans", 3, "param DataV")]),
        ({"version": "tags.dvc.rev"}, {}, {"dvc.rev": "a1b2c3"}, [(None, None, "tag dvc.rev")]),
        ({"table": "loans", "experiment": "e*"}, {"DataV": "7"}, {}, [("loans", 7, "param DataV")]),
        ({"table": "loans", "experiment": "e*"}, {}, {}, [("loans", None, "MODELLEDGER_CLAIMS")]),
        ({"table": "loans", "experiment": "other"}, {}, {}, [(None, None, "none")]),
        ({"table": "loans", "model": "m"}, {"DataV": "7"}, {}, [("loans", 7, "param DataV")]),
        ({"table": "loans", "model": "n"}, {"DataV": "7"}, {}, [(None, 7, "param DataV")]),
        (
            {"version": "params.{table}_version"},
            {"loans_version": "3", "sales_version": "5"},
            {},
            [("loans", 3, "param loans_version"), ("sales", 5, "param sales_version")],
        ),
        (
            {"version": "tags.trained_on", "value": "{table}:{version}"},
            {},
            {"trained_on": "loans:12"},
            [("loans", 12, "tag trained_on")],
        ),
    ],
)
def test_names_that_a_team_uses_are_a_setting(
    rule: dict[str, str],
    params: dict[str, str],
    tags: dict[str, str],
    expected: list[tuple[str | None, int | None, str]],
) -> None:
    found = sources(a_run(params=params, tags=tags), a_version(), claims=[rule])
    assert [(s.table, s.version, s.source_of_truth) for s in found] == expected


def test_revision_of_another_tool_is_named_and_is_no_delta_version() -> None:
    (found,) = sources(a_run(tags={"dvc.rev": "a1b2c3"}), claims=[{"version": "tags.dvc.rev"}])
    assert found.findings == ("tag dvc.rev is a1b2c3, which is not the version of a Delta table.",)


def test_place_where_runs_are_trained_may_have_another_address_here(monkeypatch: pytest.MonkeyPatch) -> None:
    run = a_run(inputs=[an_input({"path": "dbfs:/mnt/prod/loans", "delta_table_version": 3})])
    (found,) = sources(run, claims=[{"address": "/dbfs/mnt/prod", "same_as": "/lake"}])
    assert (str(found.key), found.claimed, found.is_weak) == ("loans@3", "dbfs:/mnt/prod/loans", False)
    (unknown,) = sources(run)
    assert unknown.key is None
    monkeypatch.chdir("/")
    (relative,) = sources(run, claims=[{"address": "dbfs:/mnt/prod", "same_as": "./lake"}])
    assert str(relative.key) == "loans@3"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"tabel": "loans"}, "unknown key 'tabel'"),
        ({}, "neither the param or tag of the version nor the table"),
        ({"version": "{name}"}, "placeholder in version"),
        ({"version": "v", "value": "{version}-{version}"}, "placeholder in value"),
        ({"version": "v", "table": "{version}"}, "placeholder in table"),
        ({"address": "/lake"}, "unknown key 'address'"),
    ],
)
def test_bad_rule_is_refused_in_one_sentence(rule: dict[str, str], message: str) -> None:
    with pytest.raises(BadSettings, match=message) as error:
        read_rules([{"version": "params.ok"}, rule])
    assert str(error.value).startswith("MODELLEDGER_CLAIMS: entry 2 ")
    assert "\n" not in str(error.value)


def test_rules_of_the_documentation_are_read_from_the_settings_file(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = (Path(__file__).parents[2] / "docs" / "claims.md").read_text(encoding="utf-8")
    file = tmp_path / "modelledger.toml"
    file.write_text(document.partition("```toml")[2].partition("```")[0], encoding="utf-8")
    monkeypatch.setenv("MODELLEDGER_CONFIG", str(file))
    setting = load_settings(home=home).claims
    assert len(setting) == 6
    run = a_run(params={"data_version": "3", "data_path": "/lake/loans", "sales_version": "5"}, tags={"dvc.rev": "a1"})
    assert [str(s) for s in sources(run, claims=setting)] == ["loans@3", "sales@5"]
    moved = a_run(inputs=[an_input({"path": "dbfs:/mnt/lake/x", "delta_table_version": 1})])
    assert [str(s) for s in sources(moved, claims=setting)] == ["dbfs:/mnt/lake/x@1"]


def test_password_in_a_claimed_address_is_masked() -> None:
    (found,) = sources(a_run(tags={"delta.table": "s3://key:s3cret-password@bucket/x", "delta.version": "1"}))
    assert "s3cret" not in repr(found)


def test_claim_that_an_inspection_records_is_as_it_was_written() -> None:
    logged = an_input({"path": "file:/lake/loans", "delta_table_version": 1})
    assert str(claimed_version(a_run(inputs=[logged]))) == "file:/lake/loans@1"
    tagged = a_run(inputs=[logged], tags={"delta.table": "loans", "delta.version": "2"})
    assert str(claimed_version(tagged)) == "loans@2"
