"""Names and reasons that would act come out inert on every page: in whatever the server sends to the browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from core.features.stores import Stores
from tests.pages.conftest import Opened, opened  # noqa: F401 — a fixture, under its own name
from tests.security.acting import acting, altered, hidden, protos, starts_a_formula
from tests.security.nasty import FOLDERS, MODEL, NAMED, TEXTS, home  # noqa: F401 — a fixture, under its own name

# By message and field, what the browser does not read as Markdown. Everything else is held to be Markdown.
PLAIN = {
    "Text.body",
    "Code.code_text",
    "Selectbox.options",
    "Selectbox.raw_value",
    "Selectbox.set_value",
    "MultiSelect.options",
    "MultiSelect.raw_values",
    "TextInput.value",
    "TextInput.default",
    "TextArea.value",
    "TextArea.default",
    "Dataframe.columns",
    "Dataframe.column_order",
    "Dataframe.alt",
    "PlotlyChart.alt",
    "EChartsChart.alt",
}
# Addresses and keys, which nobody reads; frames and pictures, which are looked at below.
APART = {"id", "query_string", "query_param_key", "url", "page_script_hash", "form_id", "arrow_data", "data", "spec"}
PAGES = {
    "overview": [{}],
    "tables": [{"tables_table": name, "tables_version": "1"} for name in ("columns", "texts", *FOLDERS)]
    + [{"tables_table": "iris_training_data"}],
    "sql": [{}, {"sql_query": "SELECT * FROM texts"}, {"sql_query": "SELECT * FROM columns"}],
    "runs": [
        {"runs_view": view}
        for view in ("Differences", "Bars", "Scatter", "Parallel coordinates", "Over data versions", "One run")
    ],
    "models": [
        {"models_model": model, "models_version": version, "models_tab": tab}
        for model, version in ((NAMED, "1"), (NAMED, "4"), (MODEL, "3"), ("learned", "1"))
        for tab in ("Evidence", "Signature and requirements", "Files")
    ],
    "promotions": [{"promotions_tab": tab} for tab in ("Requests", "Request promotion", "Roll back", "Differences")],
    "training": [{"training_tab": tab} for tab in ("Start", "Jobs", "New recipe", "Schedules")]
    + [{"training_recipe": "learned"}],
    "predictions": [{}],
    "lineage": [
        {"lineage_model": NAMED},
        {"lineage_model": "learned"},
        {"lineage_from": "Prediction batch"},
        {"lineage_from": "Data version", "lineage_table": FOLDERS[1]},
    ],
    "audit": [{"audit_tab": tab} for tab in ("Events", "Verify", "Export")],
    "admin": [{}],
}
ROLES = {"training": "scientist", "predictions": "scientist", "admin": "admin", "audit": "manager"}


def texts(message: Message) -> Iterator[tuple[str, str]]:
    """Every text in *message* with its place, "Button.label" say."""
    for field, value in message.ListFields():
        place = f"{message.DESCRIPTOR.name}.{field.name}"
        if field.name in APART:
            continue
        values = value if field.is_repeated else [value]
        for one in values:
            if isinstance(one, str):
                yield place, one
            elif isinstance(one, Message):
                yield from texts(one)


@pytest.mark.parametrize(("page", "address"), [(page, address) for page, all_ in PAGES.items() for address in all_])
def test_a_page_sends_nothing_that_acts(opened: Opened, page: str, address: dict[str, str]) -> None:  # noqa: F811
    look_at(opened(page, ROLES.get(page, "manager"), **address))


@pytest.mark.parametrize("kind", ["html", "link", "icon", "icon_before_colon", "directive", "bidi"])
def test_one_thing_in_full_sends_nothing_that_acts(opened: Opened, stores: Stores, kind: str) -> None:  # noqa: F811
    """An event, a request and a job that bear a text: they are shown in full where they are chosen."""
    text = TEXTS[kind]
    event = next(one for one in stores.audit.search(action="promotion.decide", limit=None) if one.reason == text)
    request = next(one for one in stores.decisions.list() if one.reason == text)
    job = next(one for one in stores.jobs.list(limit=100) if one.error == text)
    for shown, address in (
        ("audit", {"audit_event": str(event.sequence)}),
        ("promotions", {"promotions_request": request.id}),
        ("training", {"training_tab": "Jobs", "training_job": job.id}),
    ):
        look_at(opened(shown, ROLES.get(shown, "manager"), **address))


@pytest.mark.parametrize("page", ["overview", "models", "lineage", "audit"])
def test_a_past_state_sends_nothing_that_acts(opened: Opened, page: str) -> None:  # noqa: F811
    look_at(opened(page, "manager", as_of=datetime.now(UTC).date().isoformat()))


def look_at(test: AppTest) -> None:
    """Fails with everything on the page that hides, makes something or is not as it was written."""
    assert not test.exception
    wrong = []
    for proto in protos(test):
        for place, text in texts(proto):
            if hidden(text, keep="\n\t"):
                wrong.append(f"{place} hides {hidden(text)}: {text!r}")
            if place not in PLAIN:
                wrong += [f"{place} makes {one}: {text!r}" for one in acting(text)]
                wrong += [f"{place} alters {one!r}: {text!r}" for one in altered(text)]
    assert not wrong, "\n".join(wrong)
    for frame in frames(test):
        assert [name for name in frame.column_names if starts_a_formula(name) or hidden(name)] == []
        cells = [text for column in frame.columns for value in column.to_pylist() for text in strings(value)]
        assert [text for text in cells if starts_a_formula(text) or hidden(text, keep="\n\t")] == []
    # Plotly reads <a href=…>, <b> and <br> in every name and label; its own templates end in <extra>.
    words = [re.sub(r"<br>|</?extra>", "", text) for one in specs(test, "PlotlyChart") for text in strings(one)]
    assert [text for text in words if "<" in text or hidden(text)] == []
    nodes = [node for one in specs(test, "EChartsChart") for node in one["series"][0]["data"]]
    assert [node for node in nodes if hidden("".join(strings({**node, "id": ""})), keep="\n")] == []


def frames(test: AppTest) -> list[pa.Table]:
    """The tables of the page as Arrow brings them, without what colours them."""
    data = [proto.arrow_data.data for proto in protos(test) if proto.DESCRIPTOR.name == "Dataframe"]
    return [pa.ipc.open_stream(one).read_all() for one in data]


def specs(test: AppTest, kind: str) -> list[Any]:
    """What the page's charts of a kind are drawn from."""
    return [json.loads(proto.spec) for proto in protos(test) if proto.DESCRIPTOR.name == kind]


def strings(value: Any) -> Iterator[str]:
    """Every text inside *value*."""
    match value:
        case str():
            yield value
        case dict():
            for name, item in value.items():
                yield from strings(name)
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)
