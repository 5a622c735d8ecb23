"""--as-of: each command shows the state at a day, a time or an event."""

from __future__ import annotations

import pytest

from core.features.stores import Stores
from tests.cli.conftest import Command

TABLE, MODEL = "iris_training_data", "iris_classifier"


@pytest.fixture
def moment(sample_stores: Stores) -> str:
    """Right after version 2 of the model was trained on version 1 of the table."""
    (trained,) = sample_stores.audit.search(action="run.train", subject=f"{MODEL}/2", outcome="success")
    return f"event-{trained.sequence}"


def test_each_command_shows_what_existed_then(command: Command, moment: str) -> None:
    def answer(*words: str) -> object:
        told = command(*words, "--as-of", moment, "--json")
        assert told.code == 0, told.err
        return told.json

    tables = {table["name"]: table["version"] for table in answer("tables")}
    assert tables == {TABLE: 1, "diabetes_training_data": None}
    assert [commit["version"] for commit in answer("history", TABLE)] == [1, 0]
    assert [commit["version"] for commit in answer("history", TABLE, "--limit", "1")] == [1]
    counted = answer("sql", f"SELECT count(*) AS n FROM {TABLE}")
    assert (counted["rows"], counted["versions_read"]) == ([[100]], [{"table": TABLE, "version": 1}])
    assert [(run["table"], run["version"]) for run in answer("runs")] == [(TABLE, 1), (TABLE, 0)]
    assert [[v["version"] for v in model["versions"]] for model in answer("models")] == [[2, 1]]
    assert [event["sequence"] for event in answer("audit", "log")][-1] == int(moment.removeprefix("event-"))
    assert answer("requests") == answer("findings") == []


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("tables", "--as-of", "2999-01-01"), "2999-01-01 is in the future"),
        (("models", "--as-of", "event-999"), "There is no event 999"),
        (("history", TABLE, "--as-of", "soon"), "is not a valid date"),
        (("runs", "--as-of", "event-1", "--status", "failed"), "--status compares the present status"),
        (
            ("sql", f"SELECT * FROM {TABLE}", "--as-of", "2001-01-01T00:00Z"),
            "had no version at 2001-01-01",
        ),
    ],
)
def test_a_moment_that_cannot_be_shown_is_refused_in_one_sentence(
    command: Command, sample_stores: Stores, words: tuple[str, ...], sentence: str
) -> None:
    told = command(*words)
    assert (told.code, told.out) == (1, "")
    assert sentence in told.err
