"""The page Lineage: the same in words, a node's facts and where its link leads."""

from __future__ import annotations

import pytest

from core.access.identity import demo_actor
from core.features.scoring.batches import find_batch
from core.features.stores import Stores
from tests.pages.conftest import BATCHES, IRIS, MODEL, Opened, links

BATCH = {"lineage_from": "Prediction batch", "lineage_batch": BATCHES[0]}


def test_the_same_is_told_in_words(opened: Opened, used: Stores) -> None:
    words = opened("lineage", **BATCH).dataframe[-1].value.set_index("Name")
    assert words.loc[f"{MODEL}/1", "Kind"] == "model version"
    assert f"{IRIS}@0" in set(words.index)
    (batch,) = [name for name in words.index if name.startswith("predictions@")]
    assert set(words.loc[batch, "From"].split(", ")) == {f"{MODEL}/1", f"{IRIS}@0"}
    assert words.loc["Production: approved", "From"] == f"{MODEL}/1"


@pytest.mark.parametrize(
    ("node", "label", "address"),
    [
        (f"commit {IRIS}@0", "Show rows", f"/tables?tables_table={IRIS}&tables_version=0"),
        (f"model {MODEL}/1", "Show model version", f"/models?models_model={MODEL}&models_version=1"),
        (f"batch {BATCHES[0]}", "Show rows", f"/predictions?predictions_batch={BATCHES[0]}"),
    ],
)
def test_a_node_of_the_address_leads_to_its_page(
    opened: Opened, used: Stores, node: str, label: str, address: str
) -> None:
    test = opened("lineage", **BATCH, lineage_node=node)
    assert not test.exception
    assert links(test)[label] == address


def test_a_time_is_told_as_everywhere(opened: Opened, used: Stores) -> None:
    test = opened("lineage", **BATCH, lineage_node=f"batch {BATCHES[0]}")
    facts = next(one.value for one in test.dataframe if "Field" in one.value).set_index("Field")["Value"]
    batch = find_batch(used, demo_actor("auditor", channel="test"), BATCHES[0])
    assert facts["time"] == f"{batch.time:%Y-%m-%d %H:%M:%S} UTC"
