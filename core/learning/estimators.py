"""Estimators: a name, its scikit-learn class, and its parameters with type, default and range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from core.entities import Task
from core.errors import BadParameter

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

ParameterKind = Literal["int", "float", "choice"]


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of an estimator. *low* and *high* are both allowed; *choices* are for the kind "choice"."""

    name: str
    kind: ParameterKind
    default: int | float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    help: str = ""

    def read(self, value: object) -> int | float | str:
        """*value*, as a form or a command line hands it over. Raises BadParameter."""
        text = str(value).strip()
        if self.kind == "choice":
            if text in self.choices:
                return text
            raise BadParameter(f"{self.name} takes one of {', '.join(self.choices)}; {text!r} is none.", name=self.name)
        try:
            number = int(text) if self.kind == "int" else float(text)
        except ValueError as error:
            raise BadParameter(f"{self.name} takes {self.takes}; {text!r} is none.", name=self.name) from error
        is_in = (self.low is None or number >= self.low) and (self.high is None or number <= self.high)
        if not is_in:  # NaN compares False with everything and ends here too.
            raise BadParameter(f"{self.name} takes {self.takes}; {text} is outside.", name=self.name)
        return number

    @property
    def takes(self) -> str:
        """What it takes, in words: "an integer from 1 to 2000"."""
        noun = "an integer" if self.kind == "int" else "a number"
        return f"{noun} from {self.low:g} to {self.high:g}" if self.low is not None and self.high is not None else noun


@dataclass(frozen=True, kw_only=True)
class Estimator:
    """How to make an estimator: *made_by* is its class.

    *grows* names the parameter that counts its rounds, where it can be fitted in steps.
    *scales* tells that its numbers must be brought to one scale first.
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
        """An unfitted estimator with *params* (checked, defaults filled in). Raises BadParameter."""
        chosen = {
            name: None if value in ("none", 0) and name in _ZERO_IS_NONE else value
            for name, value in self.check(params).items()
        }
        seeded = {"random_state": seed} if self.takes_seed else {}
        module, _, name = self.made_by.rpartition(".")
        made: BaseEstimator = getattr(import_module(module), name)(**chosen, **self.fixed, **seeded)
        return made

    def check(self, params: Mapping[str, Any]) -> dict[str, int | float | str]:
        """Every parameter with its value: the given one where it fits, else the default. Raises BadParameter."""
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in params:
            if name not in known:
                raise BadParameter(
                    f"{self.name} has no parameter {name!r}; it takes {', '.join(known) or 'none'}.", name=name
                )
        return {name: known[name].read(params.get(name, known[name].default)) for name in known}


# scikit-learn writes "no limit" as None; a form and a TOML file write 0.
_ZERO_IS_NONE = frozenset({"max_depth", "class_weight"})

_TREES = Parameter(name="n_estimators", kind="int", default=100, low=1, high=2000, help="Number of trees")
_DEPTH = Parameter(name="max_depth", kind="int", default=0, low=0, high=100, help="Deepest tree; 0 sets no limit")
_LEAF = Parameter(name="min_samples_leaf", kind="int", default=1, low=1, high=10_000, help="Fewest rows in a leaf")
_LEAF_20 = Parameter(name="min_samples_leaf", kind="int", default=20, low=1, high=10_000, help="Fewest rows in a leaf")
_RATE = Parameter(name="learning_rate", kind="float", default=0.1, low=0.0001, high=1.0, help="Weight of each round")
_ROUNDS = Parameter(name="max_iter", kind="int", default=100, low=1, high=2000, help="Number of rounds")
_NEIGHBOURS = Parameter(name="n_neighbors", kind="int", default=5, low=1, high=500, help="Rows that are asked")
_WEIGHTS = Parameter(
    name="weights",
    kind="choice",
    default="uniform",
    choices=("uniform", "distance"),
    help="Whether near rows weigh more",
)
_BALANCE = Parameter(
    name="class_weight",
    kind="choice",
    default="none",
    choices=("none", "balanced"),
    help="Whether rare classes weigh more",
)
_ALPHA = Parameter(name="alpha", kind="float", default=1.0, low=0.0, high=1e6, help="Strength of regularization")

_C = Task.CLASSIFICATION
_R = Task.REGRESSION


def _entry(name: str, title: str, task: Task, made_by: str, *parameters: Parameter, **rest: Any) -> Estimator:
    rest.setdefault("fixed", {})
    rest.setdefault("takes_seed", True)
    return Estimator(name=name, title=title, task=task, made_by=made_by, parameters=parameters, **rest)


_ALL = (
    _entry(
        "logistic_regression",
        "Logistic regression",
        _C,
        "sklearn.linear_model.LogisticRegression",
        Parameter(name="C", kind="float", default=1.0, low=1e-6, high=1e6, help="Inverse strength of regularization"),
        Parameter(name="max_iter", kind="int", default=1000, low=1, high=100_000, help="Most iterations"),
        _BALANCE,
        scales=True,
    ),
    _entry(
        "random_forest",
        "Random forest",
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
        "Gradient boosting (histograms)",
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
        "Nearest neighbours",
        _C,
        "sklearn.neighbors.KNeighborsClassifier",
        _NEIGHBOURS,
        _WEIGHTS,
        scales=True,
        takes_seed=False,
    ),
    _entry("decision_tree", "Decision tree", _C, "sklearn.tree.DecisionTreeClassifier", _DEPTH, _LEAF, _BALANCE),
    _entry("ridge", "Ridge regression", _R, "sklearn.linear_model.Ridge", _ALPHA, scales=True),
    _entry(
        "elastic_net",
        "Elastic net",
        _R,
        "sklearn.linear_model.ElasticNet",
        Parameter(name="alpha", kind="float", default=0.1, low=1e-6, high=1e6, help="Strength of regularization"),
        Parameter(name="l1_ratio", kind="float", default=0.5, low=0.0, high=1.0, help="0 is ridge, 1 is lasso"),
        Parameter(name="max_iter", kind="int", default=1000, low=1, high=100_000, help="Most iterations"),
        scales=True,
    ),
    _entry(
        "random_forest_regressor",
        "Random forest",
        _R,
        "sklearn.ensemble.RandomForestRegressor",
        _TREES,
        _DEPTH,
        _LEAF,
        grows="n_estimators",
    ),
    _entry(
        "gradient_boosting_regressor",
        "Gradient boosting (histograms)",
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
        "Nearest neighbours",
        _R,
        "sklearn.neighbors.KNeighborsRegressor",
        _NEIGHBOURS,
        _WEIGHTS,
        scales=True,
        takes_seed=False,
    ),
    _entry("decision_tree_regressor", "Decision tree", _R, "sklearn.tree.DecisionTreeRegressor", _DEPTH, _LEAF),
)

ESTIMATORS: dict[str, Estimator] = {estimator.name: estimator for estimator in _ALL}


def estimators_for(task: Task) -> tuple[Estimator, ...]:
    """The estimators of a task."""
    return tuple(estimator for estimator in _ALL if estimator.task is task)


def find_estimator(name: str, task: Task) -> Estimator:
    """The estimator *name*. Raises BadParameter where it is unknown or of the other task."""
    found = ESTIMATORS.get(name)
    if found is None or found.task is not task:
        known = ", ".join(estimator.name for estimator in estimators_for(task))
        raise BadParameter(f"There is no {task.value} estimator {name!r}; there are {known}.", name=name)
    return found
