"""Signatures compared: what MLflow itself accepts of callers of the first model, and what they read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from mlflow.models.utils import _enforce_schema
from mlflow.types import ColSpec, Schema

from core.learning.comparison.requirements import pins
from core.learning.comparison.signatures import Compatibility, SignatureComparison, compare_signatures
from core.learning.safety.inspect_model import ModelInfo, inspect_model

NAMES = ("m/1", "m/2")


def info(
    tmp_path: Any, inputs: list[Any] | None = None, outputs: list[Any] | None = None, params: list[Any] | None = None
) -> ModelInfo:
    """What is read of a model folder with this signature, as MLflow writes it."""
    parts = {"inputs": inputs, "outputs": outputs, "params": params}
    signature = {name: json.dumps(part) for name, part in parts.items() if part is not None}
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": {}, "signature": signature}))
    return inspect_model(tmp_path)


def columns(**types: str) -> list[dict[str, Any]]:
    """Columns as MLflow writes them; a type that ends with ? is optional."""
    return [
        {"type": kind.rstrip("?"), "name": name, "required": not kind.endswith("?")} for name, kind in types.items()
    ]


@pytest.fixture
def compared(tmp_path: Any) -> Any:
    def compare(first: dict[str, Any], second: dict[str, Any]) -> SignatureComparison:
        return compare_signatures(info(tmp_path, **first), info(tmp_path, **second), names=NAMES)

    return compare


OUTPUT = columns(species="string")


@pytest.mark.parametrize(
    ("first", "second", "verdict", "problems"),
    [
        (columns(a="double"), columns(a="double"), "compatible", []),
        (columns(a="double"), columns(a="double", b="double?"), "compatible", []),
        (columns(a="double"), columns(a="double", b="double"), "incompatible", ["The input b is new and required."]),
        (columns(a="double", b="long"), columns(a="double"), "incompatible", ["The input b was removed."]),
        (columns(a="double"), columns(a="string"), "incompatible", ["The input a was double and is string."]),
        (columns(a="double?"), columns(a="double"), "incompatible", ["The input a was optional and is required."]),
        (columns(a="double"), columns(a="double?"), "compatible", []),
        (columns(a="double", b="long"), columns(b="long", a="double"), "compatible", []),
    ],
)
def test_inputs_decide_whether_callers_can_call(
    compared: Any, first: list[Any], second: list[Any], verdict: str, problems: list[str]
) -> None:
    found = compared({"inputs": first, "outputs": OUTPUT}, {"inputs": second, "outputs": OUTPUT})
    assert (found.verdict.value, list(found.problems)) == (verdict, problems)


@pytest.mark.parametrize("first", ["integer", "long", "float", "double", "string", "boolean", "datetime"])
@pytest.mark.parametrize("second", ["integer", "long", "float", "double", "string", "boolean", "datetime"])
def test_a_new_type_of_an_input_is_judged_as_mlflow_enforces_it(compared: Any, first: str, second: str) -> None:
    values = {
        "integer": np.array([2, 3], dtype="int32"),
        "long": np.array([2, 3], dtype="int64"),
        "float": np.array([0.5, 2], dtype="float32"),
        "double": np.array([0.5, 2], dtype="float64"),
        "string": np.array(["a", "b"], dtype=object),
        "boolean": np.array([True, False]),
        "datetime": pd.to_datetime(["2026-01-01", "2026-01-02"]),
    }
    try:
        _enforce_schema(pd.DataFrame({"a": values[first]}), Schema([ColSpec(second, "a")]))
        accepted = True
    except MlflowException:
        accepted = False
    found = compared({"inputs": columns(a=first), "outputs": OUTPUT}, {"inputs": columns(a=second), "outputs": OUTPUT})
    # MLflow lets any text pass as a boolean.
    assert (found.verdict is Compatibility.COMPATIBLE) is (accepted and (first, second) != ("string", "boolean"))


def test_outputs_decide_what_callers_can_read(compared: Any) -> None:
    inputs = columns(a="double")
    first = {"inputs": inputs, "outputs": columns(score="integer", why="string")}
    widened = compared(first, {"inputs": inputs, "outputs": columns(score="long", why="string")})
    assert widened.problems == ("The output score was integer and is long.",)
    assert compared(first, {"inputs": inputs, "outputs": columns(score="integer")}).problems == (
        "The output why was removed.",
    )
    more = {"inputs": inputs, "outputs": columns(score="integer", why="string", more="string")}
    assert compared(first, more).verdict is Compatibility.COMPATIBLE


def test_what_a_signature_does_not_say_is_unknown(compared: Any, tmp_path: Any) -> None:
    whole = {"inputs": columns(a="double"), "outputs": OUTPUT}
    assert compared(whole, {}).unknown == (
        "m/2 has no signature of its inputs.",
        "m/2 has no signature of its outputs.",
    )
    assert compared({}, {}).verdict is Compatibility.UNKNOWN
    unread = compare_signatures(info(tmp_path, **whole), None, names=NAMES)
    assert (unread.verdict, unread.unknown) == (Compatibility.UNKNOWN, ("The files of m/2 cannot be read.",))
    # A break that is known stays one, whatever else is unknown.
    broken = compared(whole, {"inputs": columns(b="double")})
    assert (broken.verdict, len(broken.problems), len(broken.unknown)) == (Compatibility.INCOMPATIBLE, 2, 1)


def test_tensors_nested_types_and_parameters_are_compared_with_what_is_inside(compared: Any) -> None:
    tensor = infer_signature(np.zeros((3, 4)), np.zeros(3)).to_dict()
    wider = infer_signature(np.zeros((3, 5)), np.zeros(3)).to_dict()

    def parts(signature: dict[str, Any]) -> dict[str, Any]:
        return {name: json.loads(text) for name, text in signature.items() if text}

    assert compared(parts(tensor), parts(tensor)).verdict is Compatibility.COMPATIBLE
    assert compared(parts(tensor), parts(wider)).problems == (
        "The input column 0 was tensor float64 (-1, 4) and is tensor float64 (-1, 5).",
    )
    frame = pd.DataFrame({"words": [["x"], ["y"]], "who": [{"age": 1}, {"age": 2, "name": "ana"}]})
    nested = parts(infer_signature(frame, frame[["words"]], params={"beam": 2}).to_dict())
    other = pd.DataFrame({"words": [[1], [2]], "who": [{"age": 1}, {"age": 2}]})
    changed = compared(nested, parts(infer_signature(other, frame[["words"]]).to_dict()))
    assert changed.problems == (
        "The input words was array<string> and is array<long>.",
        "The input who was object{age: long, name?: string} and is object{age: long}.",
        "The parameter beam was removed.",
    )


def test_requirements_are_named_as_packages_are() -> None:
    lines = (
        "scikit_Learn==1.9.1",
        "pandas[parquet] >=2,<3",
        "numpy",
        "torch @ https://example.org/torch.whl",
        "git+https://example.org/x.git@main",
        "-r more.txt",
    )
    assert pins(lines) == {
        "scikit-learn": "==1.9.1",
        "pandas": "[parquet]>=2,<3",
        "numpy": "",
        "torch": "@ https://example.org/torch.whl",
        "git+https://example.org/x.git@main": "",
        "-r more.txt": "",
    }
