"""Commands on a workspace or a file that is in a bad way: one line that says what to do, exit code 1, nothing lost."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from mlflow import MlflowClient

from core.cli import main
from tests.cli.conftest import Answer, Command
from tests.features import forked

pytestmark = pytest.mark.usefixtures("sample")

TABLE = "iris_training_data"
HEADER = "sepal_length_cm,sepal_width_cm,petal_length_cm,petal_width_cm,species\n"
ROW = "5.1,3.5,1.4,0.2,setosa\n"
ODD = "<b>\"quoted\"</b> 'x' 👩🏽"
AS_SCIENTIST = ("--as", "scientist", "--reason", "r")


@dataclass(frozen=True, kw_only=True)
class State:
    """*make* brings it about and names what the environment is then; each of *asked* is answered by one line that holds
    its words. {} is the test's folder, {run} the run of version 2.
    """

    make: Callable[[Path, Path], dict[str, str] | None]
    asked: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]


def corrupt(home: Path, folder: Path) -> None:
    (home / "tables" / TABLE / "_delta_log" / "00000000000000000001.json").write_text("{not json")
    (folder / "more.csv").write_text(HEADER + ROW)


def vacuumed(home: Path, folder: Path) -> None:
    place = str(home / "tables" / TABLE)
    deltalake.write_deltalake(place, deltalake.DeltaTable(place).to_pyarrow_table().slice(0, 20), mode="overwrite")
    removed = deltalake.DeltaTable(place).vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert len(removed) == 3


def files(home: Path, folder: Path) -> None:
    (folder / "schema.csv").write_text("colour,species\nred,setosa\n")
    (folder / "type.csv").write_text(HEADER + ROW.replace("5.1", "long"))
    (folder / "latin.csv").write_bytes((HEADER + ROW).encode().replace(b"setosa", b"s\x81tosa"))
    (folder / "utf16.csv").write_bytes((HEADER + ROW).encode("utf-16-le"))
    (folder / "empty.csv").write_bytes(b"")
    (folder / "header.csv").write_text(HEADER)
    (folder / "ragged.csv").write_text(HEADER + "1,2\n")
    (folder / "cut.parquet").write_bytes(b"PAR1 and no more")


def unreachable(home: Path, folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MODELLEDGER_MLFLOW_TIMEOUT_S": "2"}


def run_removed(home: Path, folder: Path) -> None:
    """As `mlflow gc` leaves it: the version names a run that is not there."""
    with sqlite3.connect(home / "mlflow.db") as database:
        (run_id,) = database.execute(
            "SELECT run_id FROM model_versions WHERE name = 'iris_classifier' AND version = 2"
        ).fetchone()
        for table in ("params", "metrics", "latest_metrics", "tags", "runs"):
            database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", (run_id,))
    database.close()


def without_data_version(home: Path, folder: Path) -> None:
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run = client.create_run(client.create_experiment("theirs", artifact_location=str(folder)))
    client.log_metric(run.info.run_id, "f1", 0.99)
    client.set_terminated(run.info.run_id)
    client.create_registered_model("theirs")
    client.create_model_version("theirs", source=str(folder), run_id=run.info.run_id)


def as_it_was(home: Path, folder: Path) -> None:
    """Nothing is wrong with the workspace; what is asked for is."""


DAMAGED = ("_delta_log/00000000000000000001.json is damaged", "Restore the file from a backup")
GONE = ("rows are gone", "restore the file from a backup")
AWAY = ("does not answer", "MLFLOW_TRACKING_URI", "try again")

STATES = {
    "a corrupt log": State(
        make=corrupt,
        asked=(
            (("show", TABLE), DAMAGED),
            (("history", TABLE), DAMAGED),
            (("sql", f"SELECT * FROM {TABLE}"), DAMAGED),
            (("diff", TABLE, "0", "1"), DAMAGED),
            (("train", "iris_classifier"), DAMAGED),
            (("score", "iris_classifier/1", TABLE, "--into", "predictions"), DAMAGED),
            (("ingest", TABLE, "{}/more.csv"), DAMAGED),
        ),
    ),
    "a vacuumed version": State(
        make=vacuumed,
        asked=(
            (("sql", f"SELECT * FROM {TABLE} VERSION AS OF 1"), GONE),
            (("diff", TABLE, "1", "3"), GONE),
            (("train", "iris_classifier", "--table", f"{TABLE}@1"), GONE),
            (("score", "iris_classifier/1", f"{TABLE}@1", "--into", "predictions"), GONE),
        ),
    ),
    "a file that cannot be used": State(
        make=files,
        asked=(
            (("ingest", TABLE, "{}/schema.csv"), ("colour", "Correct the file")),
            (("ingest", TABLE, "{}/type.csv"), ("sepal_length_cm", "long", "Correct the file")),
            (("ingest", TABLE, "{}/latin.csv"), ("not encoded as UTF-8", "line 2", "Save the file as UTF-8")),
            (("ingest", TABLE, "{}/utf16.csv"), ("neither CSV nor Parquet", "Save the data as CSV or Parquet")),
            (("ingest", TABLE, "{}/empty.csv"), ("is empty", "Use a CSV file")),
            (("ingest", TABLE, "{}/header.csv"), ("no rows",)),
            (
                ("ingest", TABLE, "{}/ragged.csv"),
                ("line 2", "2 values were found and 5 are expected", "Correct the line"),
            ),
            (("ingest", TABLE, "{}/cut.parquet"), ("damaged Parquet file", "Write the file again")),
            (("ingest", TABLE, "{}/missing.csv"), ("missing.csv", "Name a CSV or Parquet file")),
            (("ingest", TABLE, "{}"), ("directory", "Name a CSV or Parquet file")),
        ),
    ),
    "MLflow unreachable": State(
        make=unreachable,
        asked=(
            (("models",), AWAY),
            (("runs",), AWAY),
            (("train", "iris_classifier"), AWAY),
            (("score", "iris_classifier/1", TABLE, "--into", "predictions"), AWAY),
            (("lineage", "iris_classifier/1"), AWAY),
            (("request", "iris_classifier/1", "--to", "Staging", *AS_SCIENTIST), AWAY),
            (("reconcile",), AWAY),
        ),
    ),
    "a run that was deleted": State(
        make=run_removed,
        asked=((("compare", "{run}"), ("MLflow has no run", "choose runs from the list")),),
    ),
    "names that would act": State(
        make=as_it_was,
        asked=(
            (("history", ODD), ("There is no table", "Registered tables: diabetes_training_data, iris_training_data.")),
            (("ingest", ODD, __file__), ("is not a valid table name", "start with a letter")),
            (
                ("score", "iris_classifier/1", TABLE, "--into", ODD),
                ("is not a valid table name", "start with a letter"),
            ),
            (("train", ODD), ("There is no recipe", "iris_classifier")),
            (("approve", ODD, "--as", "manager", "--reason", "r"), ("There is no request", "`requests`")),
            (("compare", ODD), ("MLflow has no run", "choose runs from the list")),
            (("tables", "--as", ODD), ("There is no demo identity", "take one of auditor")),
        ),
    ),
}


def versions(home: Path) -> dict[str, list[str]]:
    """The commits of each table and the versions of each model, by what lies in the folder and in MLflow's database."""
    kept = {
        log.parent.name: sorted(file.name for file in log.glob("*.json")) for log in home.glob("tables/*/_delta_log")
    }
    with sqlite3.connect(home / "mlflow.db") as database:
        for name, version in database.execute("SELECT name, version FROM model_versions ORDER BY name, version"):
            kept.setdefault(f"model {name}", []).append(str(version))
    database.close()
    return kept


def refused(answer: Answer, says: tuple[str, ...]) -> None:
    assert (answer.code, answer.out) == (1, ""), answer
    assert answer.err.count("\n") == 1, answer.err
    assert "Traceback" not in answer.err
    assert all(said in answer.err for said in says), answer.err


def strictly(text: str) -> Any:
    """JSON as its standard has it: NaN and Infinity are no numbers there."""

    def no_number(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=no_number)


@pytest.mark.parametrize("name", STATES)
def test_each_command_says_in_one_line_what_to_do_and_nothing_is_lost(
    command: Command, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with sqlite3.connect(home / "mlflow.db") as database:
        (run_id,) = database.execute(
            "SELECT run_id FROM model_versions WHERE name = 'iris_classifier' AND version = 2"
        ).fetchone()
    database.close()
    for variable, value in (STATES[name].make(home, tmp_path) or {}).items():
        monkeypatch.setenv(variable, value)
    before = versions(home)
    for arguments, says in STATES[name].asked:
        refused(
            command(*(one.replace("{}", str(tmp_path)).replace("{run}", run_id) for one in arguments), "--json"), says
        )
        assert versions(home) == before, arguments
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert command("audit", "verify").code == 0


def test_a_version_whose_run_is_gone_is_still_traced_and_cannot_be_reproduced(command: Command, home: Path) -> None:
    run_removed(home, home)
    lineage = command("lineage", "iris_classifier/2", "--json").json
    assert lineage["run"] is None
    assert [(d["table"], d["version"]) for d in lineage["data"]] == [(TABLE, 1)]
    answer = command("reproduce", "iris_classifier/2", "--json")
    assert (answer.code, answer.json["verdict"], answer.err.count("\n")) == (1, "impossible", 1)
    assert "run is not in MLflow" in answer.err


def test_a_version_without_data_version_is_shown_and_neither_approved_nor_reproduced(
    command: Command, home: Path, tmp_path: Path
) -> None:
    without_data_version(home, tmp_path)
    (run,) = command("runs", "--experiment", "theirs", "--json").json
    assert (run["table"], run["version"], run["metrics"]) == (None, None, {"f1": 0.99})
    (data,) = command("lineage", "theirs/1", "--json").json["data"]
    assert (data["table"], data["version"], data["source_of_truth"]) == (None, None, "none")
    assert "No data version is known" in data["findings"][0]
    asked = command("request", "theirs/1", "--to", "Production", *AS_SCIENTIST, "--json").json
    assert {gate["name"]: gate["passed"] for gate in asked["gates"]}["data version recorded"] is False
    refused(command("approve", asked["id"], "--as", "manager", "--reason", "r", "--json"), ("data version",))
    answer = command("reproduce", "theirs/1", "--json")
    assert (answer.code, answer.json["verdict"], answer.err.count("\n")) == (1, "impossible", 1)
    assert "names no data version" in answer.err


def test_no_number_is_text_in_json_which_stays_json(command: Command, home: Path, tmp_path: Path) -> None:
    values = [float("nan"), float("inf"), float("-inf"), None, 0.5]
    deltalake.write_deltalake(str(home / "tables" / "numbers"), pa.table({"x": values}))
    without_data_version(home, tmp_path)
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    run_id = client.get_model_version("theirs", "1").run_id
    client.log_metric(run_id, "loss", float("nan"))
    shown = ["NaN", "Infinity", "-Infinity", None, 0.5]
    assert [row["x"] for row in strictly(command("show", "numbers", "--json").out)["sample"]] == shown
    read = strictly(command("sql", "SELECT x FROM numbers", "--json").out)
    assert [row for (row,) in read["rows"]] == shown
    for arguments in (("runs", "--experiment", "theirs"), ("compare", run_id), ("lineage", "theirs/1"), ("models",)):
        assert '"loss": "NaN"' in json.dumps(strictly(command(*arguments, "--json").out)), arguments


def test_html_quotes_and_emoji_in_columns_values_and_reasons_come_back_as_they_are(
    command: Command, tmp_path: Path
) -> None:
    file = tmp_path / f"{ODD.replace('/', '')}.csv"
    file.write_text('n,"<i>""y""</i> 👍"\n1,"<script>alert(\'1\')</script>"\n', encoding="utf-8")
    assert command("ingest", "odd", file, "--reason", ODD, "--json").json["rows_added"] == 1
    shown = command("show", "odd", "--json").json
    assert shown["sample"] == [{"n": 1, '<i>"y"</i> 👍': "<script>alert('1')</script>"}]
    events = command("audit", "log", "--subject", "odd", "--json").json
    assert [event["reason"] for event in events if event["outcome"] == "intent"] == [ODD]
    asked = command("request", "iris_classifier/1", "--to", "Staging", "--as", "scientist", "--reason", ODD, "--json")
    assert asked.json["request_reason"] == ODD


def approve_at_once(request: str, decider: str, start: Barrier, told: Queue[Answer]) -> None:
    """What each of the two processes does."""
    start.wait(120)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["approve", request, "--as", decider, "--reason", decider, "--json"])
    told.put(Answer(code, out.getvalue(), err.getvalue()))


def test_of_two_who_approve_at_once_one_decides_and_the_other_is_told_so(command: Command, home: Path) -> None:
    asked = command("request", "iris_classifier/2", "--to", "Production", *AS_SCIENTIST, "--json").json
    start, told = forked.context.Barrier(2), forked.context.Queue()
    children = [forked.start(approve_at_once, asked["id"], who, start, told) for who in ("manager", "manager2")]
    answers = sorted((told.get(timeout=240) for _ in children), key=lambda answer: answer.code)
    assert [child.wait() for child in children] == [0, 0], [child.error for child in children]
    won, lost = answers
    assert (won.code, won.json["status"], won.json["stages"]["2"]) == (0, "approved", "Production")
    refused(lost, (won.json["decided_by"],))
    (kept,) = [one for one in command("requests", "--json").json if one["id"] == asked["id"]]
    assert (kept["status"], kept["decided_by"]) == ("approved", won.json["decided_by"])
    (iris,) = [one for one in command("models", "--json").json if one["name"] == "iris_classifier"]
    assert [v["version"] for v in iris["versions"] if v["stage"] == "Production"] == [2]
    assert command("reconcile", "--json").json == []
