"""Estimators: a name, its scikit-learn class, and its parameters with type, default and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from core.entities import Task
from core.errors import BadParameter
from core.texts import text

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

ParameterKind = Literal["int", "float", "choice"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an estimator. *low* and *high* are allowed values; *choices* belong to the kind "choice"."""

    name: str
    kind: ParameterKind
    default: int | float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    def read(self, value: object) -> int | float | str:
        """Return *value*, which comes from a form or a command line, in the parameter's type. Raises BadParameter."""
        written = str(value).strip()
        if self.kind == "choice":
            if written in self.choices:
                return written
            raise BadParameter(
                "{name} must be one of {choices}, not {value!r}.",
                name=self.name,
                choices=", ".join(self.choices),
                value=written,
            )
        try:
            number = int(written) if self.kind == "int" else float(written)
        except ValueError as error:
            raise self._bad(written) from error
        is_in_range = (self.low is None or number >= self.low) and (self.high is None or number <= self.high)
        if not is_in_range:  # NaN compares False with every number and is refused here too.
            raise self._bad(written)
        return number

    def _bad(self, value: str) -> BadParameter:
        return BadParameter("{name} must be {takes}, not {value!r}.", name=self.name, takes=self.takes, value=value)

    @property
    def takes(self) -> str:
        """The allowed values in words, such as "an integer from 1 to 2000"."""
        if self.low is None or self.high is None:
            return text("an integer") if self.kind == "int" else text("a number")
        if self.kind == "int":
            return text("an integer from {low:g} to {high:g}", low=self.low, high=self.high)
        return text("a number from {low:g} to {high:g}", low=self.low, high=self.high)


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """How to make an estimator. *made_by* is the import path of its class.

    *grows* names the parameter that counts the rounds, if the estimator can be fitted in steps. *scales*: numeric
    columns must be standardized first. *fixed* are parameters that nobody can change.
    """

    name: str
    title: str
    task: Task
    made_by: str
    parameters: tuple[Parameter, ...]
    fixed: Mapping[str, Any]
    takes_seed: bool
    scales: bool = False
    grows: str | None = None

    def make(self, params: Mapping[str, Any], seed: int) -> BaseEstimator:
        """Return an unfitted estimator with *params*, checked and completed by defaults. Raises BadParameter."""
        values = {
            name: None if value in ("none", 0) and name in _ZERO_IS_NONE else value
            for name, value in self.check(params).items()
        }
        seeded = {"random_state": seed} if self.takes_seed else {}
        module, _, name = self.made_by.rpartition(".")
        estimator: BaseEstimator = getattr(import_module(module), name)(**values, **self.fixed, **seeded)
        return estimator

    def check(self, params: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Return every parameter with its value in *params* or its default. Raises BadParameter."""
        names = {parameter.name for parameter in self.parameters}
        for name in params:
            if name not in names:
                raise BadParameter(
                    "{estimator} has no parameter {name!r}; its parameters are {parameters}.",
                    estimator=self.name,
                    name=name,
                    parameters=", ".join(parameter.name for parameter in self.parameters),
                )
        return {
            parameter.name: parameter.read(params.get(parameter.name, parameter.default))
            for parameter in self.parameters
        }


# scikit-learn writes "no limit" as None; a form and a TOML file write 0 or "none".
_ZERO_IS_NONE = frozenset({"max_depth", "class_weight"})

_TREES = Parameter(name="n_estimators", kind="int", default=100, low=1, high=2000, help=text("Number of trees"))
_DEPTH = Parameter(
    name="max_depth", kind="int", default=0, low=0, high=100, help=text("Greatest depth of a tree; 0 sets no limit")
)
_LEAF = Parameter(
    name="min_samples_leaf", kind="int", default=1, low=1, high=10_000, help=text("Smallest number of rows in a leaf")
)
_LEAF_20 = Parameter(
    name="min_samples_leaf", kind="int", default=20, low=1, high=10_000, help=text("Smallest number of rows in a leaf")
)
_RATE = Parameter(
    name="learning_rate", kind="float", default=0.1, low=0.0001, high=1.0, help=text("Weight of each round")
)
_ROUNDS = Parameter(name="max_iter", kind="int", default=100, low=1, high=2000, help=text("Number of rounds"))
_NEIGHBOURS = Parameter(name="n_neighbors", kind="int", default=5, low=1, high=500, help=text("Number of nearest rows"))
_WEIGHTS = Parameter(
    name="weights",
    kind="choice",
    default="uniform",
    choices=("uniform", "distance"),
    help=text("Whether nearer rows have more weight"),
)
_BALANCE = Parameter(
    name="class_weight",
    kind="choice",
    default="none",
    choices=("none", "balanced"),
    help=text("Whether rare classes have more weight"),
)
_ALPHA = Parameter(name="alpha", kind="float", default=1.0, low=0.0, high=1e6, help=text("Strength of regularization"))

_C = Task.CLASSIFICATION
_R = Task.REGRESSION


def _entry(name: str, title: str, task: Task, made_by: str, *parameters: Parameter, **rest: Any) -> Estimator:
    rest.setdefault("fixed", {})
    rest.setdefault("takes_seed", True)
    return Estimator(name=name, title=title, task=task, made_by=made_by, parameters=parameters, **rest)


_ALL = (
    _entry(
        "logistic_regression",
        text("Logistic regression"),
        _C,
        "sklearn.linear_model.LogisticRegression",
        Parameter(
            name="C", kind="float", default=1.0, low=1e-6, high=1e6, help=text("Inverse strength of regularization")
        ),
        Parameter(
            name="max_iter", kind="int", default=1000, low=1, high=100_000, help=text("Greatest number of iterations")
        ),
        _BALANCE,
        scales=True,
    ),
    _entry(
        "random_forest",
        text("Random forest"),
        _C,
        "sklearn.ensemble.RandomForestClassifier",
        _TREES,
        _DEPTH,
        _LEAF,
        _BALANCE,
        grows="n_estimators",
    ),
    _entry(
        "gradient_boosting",
        text("Gradient boosting (histograms)"),
        _C,
        "sklearn.ensemble.HistGradientBoostingClassifier",
        _ROUNDS,
        _RATE,
        _DEPTH,
        _LEAF_20,
        grows="max_iter",
        fixed={"early_stopping": False},
    ),
    _entry(
        "k_neighbors",
        text("Nearest neighbours"),
        _C,
        "sklearn.neighbors.KNeighborsClassifier",
        _NEIGHBOURS,
        _WEIGHTS,
        scales=True,
        takes_seed=False,
    ),
    _entry("decision_tree", text("Decision tree"), _C, "sklearn.tree.DecisionTreeClassifier", _DEPTH, _LEAF, _BALANCE),
    _entry("ridge", text("Ridge regression"), _R, "sklearn.linear_model.Ridge", _ALPHA, scales=True),
    _entry(
        "elastic_net",
        text("Elastic net"),
        _R,
        "sklearn.linear_model.ElasticNet",
        Parameter(name="alpha", kind="float", default=0.1, low=1e-6, high=1e6, help=text("Strength of regularization")),
        Parameter(name="l1_ratio", kind="float", default=0.5, low=0.0, high=1.0, help=text("0 is ridge, 1 is lasso")),
        Parameter(
            name="max_iter", kind="int", default=1000, low=1, high=100_000, help=text("Greatest number of iterations")
        ),
        scales=True,
    ),
    _entry(
        "random_forest_regressor",
        text("Random forest"),
        _R,
        "sklearn.ensemble.RandomForestRegressor",
        _TREES,
        _DEPTH,
        _LEAF,
        grows="n_estimators",
    ),
    _entry(
        "gradient_boosting_regressor",
        text("Gradient boosting (histograms)"),
        _R,
        "sklearn.ensemble.HistGradientBoostingRegressor",
        _ROUNDS,
        _RATE,
        _DEPTH,
        _LEAF_20,
        grows="max_iter",
        fixed={"early_stopping": False},
    ),
    _entry(
        "k_neighbors_regressor",
        text("Nearest neighbours"),
        _R,
        "sklearn.neighbors.KNeighborsRegressor",
        _NEIGHBOURS,
        _WEIGHTS,
        scales=True,
        takes_seed=False,
    ),
    _entry("decision_tree_regressor", text("Decision tree"), _R, "sklearn.tree.DecisionTreeRegressor", _DEPTH, _LEAF),
)

ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in _ALL}


def estimators_for(task: Task) -> tuple[Estimator, ...]:
    """Return the estimators of a task."""
    return tuple(estimator for estimator in _ALL if estimator.task is task)


def find_estimator(name: str, task: Task) -> Estimator:
    """Return the estimator *name*. Raises BadParameter if it is unknown or belongs to the other task."""
    estimator = ESTIMATORS.get(name)
    if estimator is None or estimator.task is not task:
        raise BadParameter(
            "{name!r} is not a {task} estimator; choose one of {estimators}.",
            name=name,
            task=task.value,
            estimators=", ".join(estimator.name for estimator in estimators_for(task)),
        )
    return estimator
