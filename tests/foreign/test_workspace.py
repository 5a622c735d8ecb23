"""The command line on tables and models that ModelLedger did not create."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.cli.conftest import Command, command  # noqa: F401 - a fixture
from tests.foreign.workspace_tables import Expected

pytestmark = pytest.mark.slow


@pytest.fixture
def ask(foreign: Expected, command: Command) -> Any:  # noqa: F811
    """ask("show", "fraud"): the JSON of a command that succeeds, or its one line of an error."""

    def answered(*arguments: object, code: int = 0) -> Any:
        answer = command(*arguments, "--json")
        assert answer.code == code, (arguments, answer.err)
        assert "Traceback" not in answer.err
        return answer.json if code == 0 else answer.err

    return answered


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}


# ------------------------------------------------------------------------------------------------------------ tables


def test_every_table_is_listed_with_its_version_and_rows(foreign: Expected, ask: Any) -> None:
    listed = {table["name"]: table for table in ask("tables")}
    assert set(listed) == set(foreign["tables"])
    wrong = {}
    for name, table in foreign["tables"].items():
        shown = listed[name]
        rows = shown["rows"] if shown["rows"] is not None else table["rows"]  # the log alone may not tell
        if (shown["version"], rows) != (table["version"], table["rows"]):
            wrong[name] = shown
        if table["version"] is None and not all(word in shown["problem"] for word in table["words"]):
            wrong[name] = shown
    assert not wrong


def test_every_table_is_shown_with_its_rows_and_a_true_verdict(foreign: Expected, ask: Any) -> None:
    wrong = {}
    for name, table in foreign["tables"].items():
        if table["version"] is None:
            error = ask("show", name, code=1)
            assert all(word in error for word in table["words"]), error
            continue
        shown = ask("show", name)
        verdict, reason = shown["readable"]["verdict"], shown["readable"]["reason"]
        is_told = all(word in reason for word in table["words"])
        if (shown["version"], shown["rows"], verdict, is_told) != (
            table["version"],
            table["rows"],
            table["verdict"],
            True,
        ):
            wrong[name] = without(shown, "sample", "schema")
        for version, earlier in table.get("at", {}).items():
            if ask("show", f"{name}@{version}")["readable"]["verdict"] != earlier["verdict"]:
                wrong[f"{name}@{version}"] = earlier
    assert not wrong


def test_queries_return_the_rows_that_were_written(foreign: Expected, ask: Any) -> None:
    answers = [[query, ask("sql", query)["rows"]] for query, _ in foreign["queries"]]
    assert answers == foreign["queries"]


def test_differences_are_those_of_the_rows(foreign: Expected, ask: Any) -> None:
    wrong = []
    for expected in foreign["diffs"]:
        shown = ask("diff", expected["table"], expected["a"], expected["b"])
        rows, schema = shown["rows"], shown["schema"]
        is_right = (rows["added"], rows["removed"]) == (expected["added"], expected["removed"])
        is_right &= [change["name"] for change in schema["changed"]] == expected.get("changed", [])
        is_right &= schema["added"] == [] == schema["removed"]
        is_right &= ("renamed" not in expected) or all(word in json.dumps(shown) for word in expected["renamed"])
        if not is_right:
            wrong.append([expected, shown])
    assert not wrong


def test_history_says_what_the_writers_recorded(foreign: Expected, ask: Any) -> None:
    wrong = []
    for expected in foreign["commits"]:
        history = {commit["version"]: commit for commit in ask("history", expected["table"])}
        shown = history[expected["version"]]
        said = all(word in json.dumps(shown) for word in expected.get("said", []))
        if not said or any(shown[key] != value for key, value in without(expected, "said", "table").items()):
            wrong.append([expected, shown])
    assert not wrong
    assert [commit["version"] for commit in ask("history", "gap")] == foreign["tables"]["gap"]["history"]


# ------------------------------------------------------------------------------------------------------------ models


def test_models_show_the_stages_aliases_metrics_and_data_of_their_versions(foreign: Expected, ask: Any) -> None:
    shown = {f"{model['name']}/{v['version']}": v for model in ask("models") for v in model["versions"]}
    assert set(shown) == set(foreign["models"])
    wrong = {}
    for key, expected in foreign["models"].items():
        version = shown[key]
        data = [[data["table"], data["version"]] for data in version["data"]]
        known = [pair for pair in expected["data"] if pair != [None, None]]
        is_right = version["stage"] == expected.get("stage", "None")
        is_right &= sorted(version["aliases"]) == sorted(expected.get("aliases", []))
        is_right &= data == known
        is_right &= all(is_same(version["metrics"][name], value) for name, value in expected.get("metrics", {}).items())
        if not is_right:
            wrong[key] = [expected, version]
    assert not wrong


def is_same(shown: Any, value: float) -> bool:
    """JSON has no number for NaN and infinities: `--json` writes them as text or null."""
    return shown == value if math.isfinite(value) else not isinstance(shown, float) or not math.isfinite(shown)


def test_lineage_names_the_training_data_and_what_is_wrong_with_it(foreign: Expected, ask: Any) -> None:
    wrong = {}
    for key, expected in foreign["models"].items():
        if key.startswith("product_"):
            continue
        shown = ask("lineage", key)
        uses: dict[str, list[Any]] = {"training": [], "evaluation": []}
        for source in shown["data"]:
            uses[source["use"]].append([source["table"], source["version"]])
        findings = json.dumps([source["findings"] for source in shown["data"]], ensure_ascii=False)
        is_right = uses["training"] == expected["data"] and uses["evaluation"] == expected.get("evaluation", [])
        is_right &= all(word in findings for word in expected.get("words", []))
        is_right &= "contradicts" not in expected or findings != "[[]]"
        if not is_right:
            wrong[key] = [expected, shown["data"]]
    assert not wrong


def test_impact_finds_every_version_by_whatever_name_its_run_gave_to_the_table(foreign: Expected, ask: Any) -> None:
    for data in foreign["impact"] | foreign["evaluated"]:
        uses: dict[str, list[str]] = {"training": [], "evaluation": []}
        answer = ask("impact", data)
        for node in answer["models"]:
            uses[node["use"]].append(node["subject"])
        named = foreign["impact"].get(data, [])
        contradicted = [key for key in named if "contradicts" in foreign["models"][key]]
        assert [node["subject"] for node in answer["replaced"]] == contradicted, data
        assert sorted(uses["training"]) == [key for key in named if key not in contradicted], data
        assert sorted(uses["evaluation"]) == foreign["evaluated"].get(data, []), data


def test_impact_counts_the_versions_whose_data_it_cannot_know(foreign: Expected, ask: Any) -> None:
    unresolved = ask("impact", "fraud@2")["unresolved"]
    expected = sorted(set(foreign["unread"]) - set(foreign["evaluated"]["fraud@2"]))
    assert sorted(version["model"] for version in unresolved["models"]) == expected
    assert (unresolved["count"], unresolved["of"]) == (len(expected), len(foreign["models"]))


# -------------------------------------------------------------------------------------------------------------- runs


def test_runs_of_each_kind_are_listed(foreign: Expected, ask: Any) -> None:
    listed = {run["name"]: run for run in ask("runs", "--limit", 500)}
    assert set(listed) == set(foreign["runs"]) - {"deleted"}
    assert listed["many inputs"]["table"] == "fraud"


def test_comparison_knows_which_losses_grew(foreign: Expected, ask: Any) -> None:
    runs = [foreign["runs"][name] for name in ("losses 0.2", "losses 2.0")]
    compared = ask("compare", *runs)
    assert set(compared["differing_metrics"]) >= set(foreign["models"]["losses/1"]["metrics"])
