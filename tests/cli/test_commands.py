"""Every command of the design: its JSON keys, its exit codes, one line on stderr."""

from __future__ import annotations

import csv
import os
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Answer, Command
from tests.recipes_document import write_examples

pytestmark = pytest.mark.usefixtures("sample")


def test_tables_lists_name_uri_version_and_rows(command: Command) -> None:
    found = {t["name"]: t for t in command("tables", "--json").json}
    assert set(found) == {"iris_training_data", "diabetes_training_data"}
    assert (found["iris_training_data"]["version"], found["iris_training_data"]["rows"]) == (2, 150)
    assert found["diabetes_training_data"]["rows"] == 442


def test_history_is_newest_first_with_what_each_version_added(command: Command) -> None:
    commits = command("history", "iris_training_data", "--json").json
    assert [c["version"] for c in commits] == [2, 1, 0]
    assert [c["rows_added"] for c in commits] == [50, 50, 50]
    assert {
        *("version", "timestamp", "operation", "user", "rows_added", "rows_removed", "engine", "metadata"),
        *("parameters", "metrics", "job", "notebook", "cluster_id", "isolation_level", "is_blind_append"),
        *("read_version", "user_name", "user_id"),
    } == set(commits[0])
    assert commits[0]["timestamp"].endswith("Z")
    assert len(command("history", "iris_training_data", "--limit", "1", "--json").json) == 1


def test_show_pins_version_zero(command: Command) -> None:
    shown = command("show", "iris_training_data@0", "--rows", "3", "--json").json
    assert (shown["version"], shown["rows"], len(shown["sample"])) == (0, 50, 3)
    assert shown["readable"]["verdict"] == "readable"
    assert [f["name"] for f in shown["schema"]][-1] == "species"


def test_diff_counts_added_and_removed_rows(command: Command) -> None:
    found = command("diff", "iris_training_data", "0", "2", "--json").json
    assert found["rows"] == {"added": 100, "removed": 0, "changed": None}
    assert found["schema"] == {"added": [], "removed": [], "changed": [], "renamed": []}


def test_sql_reads_an_older_version_and_says_which(command: Command) -> None:
    found = command("sql", "SELECT count(*) AS n FROM iris_training_data VERSION AS OF 0", "--json").json
    assert (found["columns"], found["rows"]) == (["n"], [[50]])
    assert found["versions_read"] == [{"table": "iris_training_data", "version": 0}]


def test_ingest_makes_the_next_version(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "more.csv"
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["sepal_length_cm", "sepal_width_cm", "petal_length_cm", "petal_width_cm", "species"])
        writer.writerow([5.1, 3.5, 1.4, 0.2, "setosa"])
        writer.writerow([6.2, 3.4, 5.4, 2.3, "virginica"])
    answer = command("ingest", "iris_training_data", str(file), "--json")
    assert {name: answer.json[name] for name in ("table", "version", "rows_added")} == {
        "table": "iris_training_data",
        "version": 3,
        "rows_added": 2,
    }
    assert command("show", "iris_training_data", "--json").json["rows"] == 152


def test_ingest_prints_its_warnings_and_with_strict_saves_nothing(command: Command, tmp_path: Path) -> None:
    file = tmp_path / "es.csv"
    file.write_bytes("id;importe;ciudad\r\n1;1.234,5;Coruña\r\n2;10,25;NA\r\n".encode("cp1252"))
    created = command("ingest", "ventas", str(file), "--new", "--strict", "--null", "NA", "--json")
    assert (created.code, created.err, created.json["warnings"]) == (0, "", [])
    assert created.json["format"]["decimal"] == ","
    assert command("sql", "SELECT * FROM ventas ORDER BY id", "--json").json["rows"] == [
        [1, 1234.5, "Coruña"],
        [2, 10.25, None],
    ]
    refused = command("ingest", "ventas", str(file), "--strict", "--null", "NA")
    assert refused.code == 1
    assert "2 of 2 rows are in the table already" in refused.err
    saved = command("ingest", "ventas", str(file), "--null", "NA", "--json")
    assert saved.err == "Warning: 2 of 2 rows are in the table already\n"
    assert saved.json["warnings"] == [
        {"kind": "rows_in_table", "column": None, "message": "2 of 2 rows are in the table already"}
    ]
    assert saved.json["version"] == 1


@pytest.mark.slow
def test_an_mlflow_project_is_trained_as_any_recipe_and_its_failure_is_one_line(command: Command, home: Path) -> None:
    write_examples(home)
    arguments = ("train", "flowers", "--table", "iris_training_data@0")
    trained = command(*arguments, "--param", "trees=5", "--json").json
    assert (trained["params"]["DataV"], trained["params"]["ModelV"]) == ("0", "1")
    assert float(trained["params"]["trees"]) == 5
    assert trained["metrics"]["TrainRows"] + trained["metrics"]["TestRows"] == 50
    # scikit-learn refuses a forest without trees.
    failed = command(*arguments, "--param", "trees=0")
    assert failed.code == 1
    assert "flowers failed: " in failed.err
    assert "n_estimators" in failed.err
    assert "Traceback" not in failed.err
    refused = command(*arguments, "--param", "depth=3")
    assert refused.code == 1
    assert "The entry point has no parameter 'depth'; its parameters are: trees, leaf." in refused.err


def test_train_on_a_pinned_version_logs_the_names_of_the_design(command: Command) -> None:
    answer = command("train", "iris_classifier", "--table", "iris_training_data@0", "--json")
    assert answer.code == 0, answer.err
    trained = answer.json
    assert trained["params"]["DataV"] == "0"
    assert trained["params"]["ModelV"] == "4"
    assert trained["model_version"] == "iris_classifier/4"
    assert trained["metrics"]["TrainRows"] + trained["metrics"]["TestRows"] == 50
    assert {"precision", "recall", "f1", "accuracy", "roc_auc", "log_loss"} <= set(trained["metrics"])


def test_models_lists_versions_with_their_data(command: Command) -> None:
    found = {m["name"]: m["versions"] for m in command("models", "--json").json}
    iris = {v["version"]: v for v in found["iris_classifier"]}
    assert {n: v["data"] for n, v in iris.items()} == {
        n: [{"table": "iris_training_data", "version": n - 1}] for n in (1, 2, 3)
    }
    assert {v["stage"] for v in iris.values()} == {"None"}
    assert len(found["diabetes_progression"]) == 2


def test_runs_and_compare_show_params_metrics_and_data_version(command: Command) -> None:
    runs = [r for r in command("runs", "--json").json if r["table"] == "iris_training_data"]
    assert sorted(r["version"] for r in runs) == [0, 1, 2]
    compared = command("compare", runs[0]["run_id"], runs[1]["run_id"], "--json").json
    assert [r["run_id"] for r in compared["runs"]] == [runs[0]["run_id"], runs[1]["run_id"]]
    assert "DataV" in compared["differing_params"]


def ask(command: Command, version: int) -> str:
    """The id of a request that iris_classifier/*version* go to Production."""
    arguments = ("--to", "Production", "--as", "scientist", "--reason", "ask", "--json")
    asked = command("request", f"iris_classifier/{version}", *arguments)
    assert asked.code == 0, asked.err
    assert asked.json["status"] == "open"
    return str(asked.json["id"])


def approve(command: Command, request: str) -> Answer:
    return command("approve", request, "--as", "manager", "--reason", "fine", "--json")


def test_the_whole_decision_and_back(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    # Whether a version is better is the business of other tests: here each is let through.
    monkeypatch.setenv("MODELLEDGER_POLICIES", '{"*": [{"gate": "stage_changes"}, {"gate": "data_recorded"}]}')
    first = ask(command, 1)
    refused = command("approve", first, "--as", "scientist", "--reason", "me", "--json")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.count("\n") == 1
    approved = approve(command, first).json
    assert (approved["status"], approved["decided_by"]) == ("approved", "manager")
    assert approved["stages"] == {"1": "Production", "2": "None", "3": "None"}

    approved = approve(command, ask(command, 3)).json
    # The third is in every policy that does not speak of artifacts.
    assert [gate["passed"] for gate in approved["gates"]] == [True, True, True]
    assert approved["stages"] == {"1": "Archived", "2": "None", "3": "Production"}

    back = command("rollback", "iris_classifier", "--as", "manager", "--reason", "worse in use", "--json")
    assert back.code == 0, back.err
    assert (back.json["kind"], back.json["version"], back.json["to"]) == ("rollback", 1, "Production")
    assert back.json["stages"] == {"1": "Production", "2": "None", "3": "Archived"}
    forth = command("rollback", "iris_classifier", "--to", "3", "--as", "manager", "--reason", "wrong one", "--json")
    assert forth.code == 0, forth.err
    assert forth.json["stages"] == {"1": "Archived", "2": "None", "3": "Production"}
    assert command("reconcile", "--json").json == []


def test_reject_leaves_the_stages_alone(command: Command) -> None:
    asked = command(
        "request", "iris_classifier/2", "--to", "Staging", "--as", "scientist", "--reason", "try", "--json"
    ).json
    rejected = command("reject", asked["id"], "--as", "manager", "--reason", "not now", "--json").json
    assert (rejected["status"], rejected["reason"]) == ("rejected", "not now")
    again = command("approve", asked["id"], "--as", "manager2", "--reason", "late", "--json")
    assert again.code == 1
    assert "manager" in again.err
    stages = {
        v["version"]: v["stage"]
        for m in command("models", "--json").json
        for v in m["versions"]
        if m["name"] == "iris_classifier"
    }
    assert stages == {1: "None", 2: "None", 3: "None"}


def test_model_at_alias_is_the_version_that_holds_the_alias(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELLEDGER_ALIASES", '{"*": {"Production": "champion"}}')
    asked = command(
        "request", "iris_classifier/2", "--to", "Production", "--as", "scientist", "--reason", "r", "--json"
    ).json
    assert command("approve", asked["id"], "--as", "manager", "--reason", "r", "--json").code == 0
    (model,) = [model for model in command("models", "--json").json if model["name"] == "iris_classifier"]
    assert {v["version"]: v["aliases"] for v in model["versions"]} == {1: [], 2: ["champion"], 3: []}
    lineage = command("lineage", "iris_classifier@champion", "--json").json
    assert (lineage["model"]["version"], lineage["model"]["aliases"]) == (2, ["champion"])
    scored = command("score", "iris_classifier@champion", "iris_training_data@1", "--into", "predictions", "--json")
    assert scored.json["model_version"] == "iris_classifier/2"
    absent = command("score", "iris_classifier@challenger", "iris_training_data@1")
    assert (absent.code, absent.err) == (
        1,
        "iris_classifier has no alias 'challenger'; its aliases are: champion.\n",
    )
    unknown = command("lineage", "nosuch@champion")
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)


def test_requests_show_the_gates_of_the_request_of_the_decision_and_now(command: Command) -> None:
    def ask(version: int) -> str:
        asked = command(
            "request",
            f"iris_classifier/{version}",
            "--to",
            "Production",
            "--as",
            "scientist",
            "--reason",
            "r",
            "--json",
        )
        return str(asked.json["id"])

    waiting = ask(2)
    command("approve", ask(3), "--as", "manager", "--reason", "r")
    decided, request = command("requests", "--json").json
    assert (request["id"], request["now"]["passed"], request["at_request"]["passed"]) == (waiting, False, True)
    assert (request["now"]["compared_with"], request["at_decision"]) == ("iris_classifier/3", None)
    assert request["gates"] == request["now"]["gates"] != request["at_request"]["gates"]
    assert all("fails now: Production changed to iris_classifier/3." in change for change in request["now"]["changes"])
    assert (decided["now"], decided["at_request"]["passed"], decided["at_decision"]["passed"]) == (None, True, True)
    assert decided["gates"] == decided["at_decision"]["gates"]
    assert decided["at_decision"]["evidence"]["candidate"]["model_version"] == "iris_classifier/3"
    rejected = command("reject", waiting, "--as", "manager", "--reason", "r", "--json").json
    assert (rejected["at_decision"]["passed"], rejected["at_decision"]["compared_with"]) == (False, "iris_classifier/3")


def test_score_needs_a_production_version_then_writes_a_batch_and_lineage_leads_back(command: Command) -> None:
    nothing = command("score", "iris_classifier", "iris_training_data@1", "--into", "predictions", "--json")
    assert (nothing.code, nothing.err.count("\n")) == (1, 1)
    asked = command(
        "request", "iris_classifier/2", "--to", "Production", "--as", "scientist", "--reason", "r", "--json"
    ).json
    assert command("approve", asked["id"], "--as", "manager", "--reason", "r", "--json").code == 0
    scored = command("score", "iris_classifier", "iris_training_data@1", "--into", "predictions", "--json")
    assert scored.code == 0, scored.err
    assert (scored.json["table"], scored.json["version"], scored.json["rows"]) == ("iris_training_data", 1, 100)
    rows = command(
        "sql", f"SELECT count(*) FROM predictions WHERE batch_id = '{scored.json['batch_id']}'", "--json"
    ).json
    assert rows["rows"] == [[100]]
    lineage = command("lineage", "iris_classifier/2", "--json").json
    assert [(d["table"], d["version"], d["findings"]) for d in lineage["data"]] == [("iris_training_data", 1, [])]
    assert len(lineage["decisions"]) == 1
    assert len(lineage["predictions"]) == 1
    impact = command("impact", "iris_training_data@1", "--json").json
    assert [m["subject"] for m in impact["models"]] == ["iris_classifier/2"]
    assert len(impact["predictions"]) == 1


def test_audit_log_verifies_and_a_change_by_hand_is_found(command: Command, home: Path, tmp_path: Path) -> None:
    events = command("audit", "log", "--json").json
    assert [e["sequence"] for e in events] == sorted(e["sequence"] for e in events)
    assert {
        "sequence",
        "time",
        "actor",
        "action",
        "subject",
        "outcome",
        "reason",
        "before",
        "after",
        "hash",
        "previous",
    } <= set(events[0])
    assert command("audit", "verify", "--json").json["ok"] is True
    exported = tmp_path / "audit.jsonl"
    assert command("audit", "export", str(exported), "--json").code == 0
    assert exported.stat().st_size > 0

    victim = events[2]["sequence"]
    with sqlite3.connect(home / "modelledger.db") as database:
        for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute("UPDATE events SET reason = 'nothing to see' WHERE sequence = ?", (victim,))
    database.close()
    found = command("audit", "verify", "--json")
    assert (found.code, found.json["ok"], found.json["first_broken"]) == (1, False, victim)


def test_demo_a_second_time_changes_nothing(command: Command) -> None:
    before = len(command("audit", "log", "--json").json)
    assert command("demo", "--json").json["made"] == []
    assert len(command("audit", "log", "--json").json) == before


def test_doctor_is_content_with_the_embedded_default(command: Command) -> None:
    answer = command("doctor", "--json")
    assert answer.code == 0, answer.out
    names = {check["name"] for check in answer.json}
    assert {"database", "engine", "mlflow tracking", "mlflow registry", "MODELLEDGER_HOME"} <= names


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("history", "no_such_table"), "no_such_table"),
        (("show", "iris_training_data@99"), "0–2"),
        (("sql", "SELECT * FROM iris_training_data VERSION AS OF 99"), "99"),
        (("sql", "DROP TABLE iris_training_data"), "SELECT"),
        (("train", "no_such_recipe"), "no_such_recipe"),
        (("lineage", "iris_classifier/99"), "99"),
        (("lineage", "iris_classifier"), "MODEL/N"),
        (("compare", "0123456789abcdef0123456789abcdef"), "0123456789abcdef"),
        (("approve", "nothing", "--as", "manager", "--reason", "r"), "nothing"),
        (("history", "iris_training_data", "--as", "nobody"), "nobody"),
        (("score", "iris_classifier/1", "iris_training_data", "--into", "../etc"), "../etc"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_1(command: Command, arguments: tuple[str, ...], says: str) -> None:
    answer = command(*arguments, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.count("\n") == 1
    assert "Traceback" not in answer.err
    assert says in answer.err


@pytest.mark.parametrize(
    "arguments", [("history",), ("no-such-command",), ("request", "iris_classifier/1"), ("diff", "t", "a", "b")]
)
def test_wrong_usage_is_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    assert command(*arguments).code == 2


def test_reproduce_trains_again_and_tells_by_its_exit_code(command: Command) -> None:
    answer = command("reproduce", "iris_classifier/2", "--json")
    assert (answer.code, answer.json["verdict"]) == (0, "reproduced")
    assert {"verdict", "why", "metrics"} <= set(answer.json)
    assert answer.json["metrics"]["TestRows"] == {"logged": 30, "again": 30}
    assert len(command("models", "--json").json[1]["versions"]) == 3
    for path in Path(os.environ["MODELLEDGER_HOME"], "tables", "iris_training_data").glob("*.parquet"):
        path.unlink()
    answer = command("reproduce", "iris_classifier/2", "--json")
    assert (answer.code, answer.json["verdict"]) == (1, "impossible")
    assert "iris_training_data@1" in answer.json["why"]
    assert answer.err.count("\n") == 1
    assert command("reproduce", "iris_classifier/9").code == 1
    assert command("reproduce", "iris_classifier").code == 1
