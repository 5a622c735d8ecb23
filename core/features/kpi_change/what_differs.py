"""What differs between two model versions: the factors that can be trained apart, and the code and environment."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from core.access.permissions import Action
from core.entities import Actor, ModelVersionKey, Recipe, TableVersion
from core.errors import BadParameter, NotReproducible
from core.features.lineage.provenance import data_sources
from core.features.lineage.version_data import run_of
from core.features.runs.version_metrics import metrics_of_version
from core.features.stores import Stores
from core.features.training.retraining import PinnedTraining, pinned_training, read_artifact, recipe_of
from core.learning.comparison.requirements import pins
from core.learning.kpis import is_kpi
from core.learning.recipes import check_params
from core.texts import text

_MOST_FACTORS = 5
_MOST_PARAMS = 3
# Settings that a factor changes as a whole; `params.NAME` is a single parameter, and `data` the data version.
_WHOLE = frozenset({"features", "estimator", "params", "test_fraction", "seed"})


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two versions. *recipe* has every parameter, *logged* the KPIs as logged, *folder* the model files."""

    training: PinnedTraining
    recipe: Recipe
    logged: Mapping[str, float]
    folder: Path
    requirements: Mapping[str, str]

    @property
    def key(self) -> ModelVersionKey:
        return self.training.key


@dataclass(frozen=True, kw_only=True)
class Differing:
    """Something that both versions record with different values. *settings* are what it changes of a training."""

    name: str
    before: str
    after: str
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What differs between *first* and *second*.

    *factors* can be changed one by one, because trainings run here. *inseparable* are the code and the environment:
    every training here uses the present ones.
    """

    first: Side
    second: Side
    factors: tuple[Differing, ...]
    inseparable: tuple[Differing, ...]

    def training(self, coalition: int) -> tuple[TableVersion, Recipe]:
        """Return the data and the recipe of a coalition: its factors are those of *second*, all others of *first*.

        Bit i of *coalition* stands for factor i.
        """
        factors = [factor for place, factor in enumerate(self.factors) if coalition & (1 << place)]
        changed = {name for factor in factors for name in factor.settings}
        data = (self.second if "data" in changed else self.first).training.data
        after = self.second.recipe
        whole = {name: getattr(after, name) for name in changed & _WHOLE}
        recipe = replace(self.first.recipe, table=data.table, **whole)
        single = {name: after.params[name] for name in after.params if f"params.{name}" in changed}
        return data, replace(recipe, params={**recipe.params, **single})


def what_differs(stores: Stores, actor: Actor, first: ModelVersionKey, second: ModelVersionKey) -> Differences:
    """Return what differs between two versions. Nothing is trained.

    Raises:
        ModelVersionNotFound, RegistryUnavailable, Forbidden
        NotReproducible: a version cannot be trained again, so nothing can be compared.
        BadParameter: both are the same version, or their tasks or targets differ.
    """
    stores.audit.require(actor, Action.MODEL_READ, str(second))
    with tempfile.TemporaryDirectory(prefix="modelledger-") as folder:
        return read_differences(stores, first, second, Path(folder))


def read_differences(stores: Stores, first: ModelVersionKey, second: ModelVersionKey, folder: Path) -> Differences:
    """Return the same with the files of both models below *folder*, for services that have checked the permission."""
    if first == second:
        raise BadParameter("Both are {model}. Name two versions.", model=str(first))
    sides = (_side(stores, first, folder / "first"), _side(stores, second, folder / "second"))
    recipes = [side.recipe for side in sides]
    if recipes[0].task is not recipes[1].task:
        raise BadParameter(
            "{first} is a {first_task} and {second} is a {second_task}: they have no KPI in common.",
            first=str(first),
            first_task=recipes[0].task.value,
            second=str(second),
            second_task=recipes[1].task.value,
        )
    if recipes[0].target != recipes[1].target:
        raise BadParameter(
            "{first} predicts {first_target!r} and {second} predicts {second_target!r}: their KPIs do not compare.",
            first=str(first),
            first_target=recipes[0].target,
            second=str(second),
            second_target=recipes[1].target,
        )
    return Differences(
        first=sides[0], second=sides[1], factors=_factors(stores, *sides), inseparable=_inseparable(*sides)
    )


def require_factors(differences: Differences) -> None:
    """Raise BadParameter if nothing that differs can be trained apart."""
    if differences.factors:
        return
    names = {"first": str(differences.first.key), "second": str(differences.second.key)}
    if differences.inseparable:
        raise BadParameter(
            "{first} and {second} differ only in {differences}. ModelLedger trains with the present code and packages, "
            "so the part of each cannot be measured here.",
            differences=", ".join(f"{d.name} ({d.before} → {d.after})" for d in differences.inseparable),
            **names,
        )
    kpis = ", ".join(
        f"{name} {differences.second.logged[name] - value:+.3g}"
        for name, value in differences.first.logged.items()
        if name in differences.second.logged
    )
    raise BadParameter(
        "{first} and {second} do not differ in anything that ModelLedger records, so no recorded cause explains a "
        "difference of their KPIs ({kpis}).",
        kpis=kpis or "–",
        **names,
    )


def _side(stores: Stores, key: ModelVersionKey, folder: Path) -> Side:
    version = stores.models.version(key)
    run = run_of(stores, version)
    folder.mkdir()
    try:
        sources = [source for source in data_sources(stores, run, version) if source.is_training]
        training = pinned_training(stores, key, run, sources)
        artifact, info = read_artifact(stores, key, folder)
        recipe = recipe_of(training, info)
    except NotReproducible as error:
        raise NotReproducible(
            "{model} cannot be trained again, so the change of a KPI cannot be split: {reason}",
            model=str(key),
            reason=str(error),
        ) from error
    logged = metrics_of_version(stores, version, run).values
    return Side(
        training=training,
        recipe=replace(recipe, params=check_params(recipe)),
        logged={name: value for name, value in logged.items() if is_kpi(name)},
        folder=artifact,
        requirements=pins(info.requirements),
    )


def _factors(stores: Stores, first: Side, second: Side) -> tuple[Differing, ...]:
    """Return at most five factors, the data first."""
    before, after = first.recipe, second.recipe
    factors = []
    if set(before.features) != set(after.features):
        features = Differing(
            name="features",
            before=_list(set(before.features) - set(after.features)),
            after=_list(set(after.features) - set(before.features)),
            settings=("features",),
        )
        if _have_all(stores, first, second):
            factors.append(features)
        else:
            factors.append(_data(first, second, "features"))
    if first.training.data != second.training.data and not any("data" in factor.settings for factor in factors):
        factors.insert(0, _data(first, second))
    if (before.test_fraction, before.seed) != (after.test_fraction, after.seed):
        factors.append(
            Differing(
                name="split and seed",
                before=text("fraction {fraction}, seed {seed}", fraction=before.test_fraction, seed=before.seed),
                after=text("fraction {fraction}, seed {seed}", fraction=after.test_fraction, seed=after.seed),
                settings=("test_fraction", "seed"),
            )
        )
    if before.estimator != after.estimator:
        estimator = Differing(
            name="estimator", before=before.estimator, after=after.estimator, settings=("estimator", "params")
        )
        return (*factors, estimator)
    return (*factors, *_params(before.params, after.params, _MOST_FACTORS - len(factors)))


def _params(before: Mapping[str, Any], after: Mapping[str, Any], most: int) -> tuple[Differing, ...]:
    """Return a factor per parameter that differs, or one for all where there are more than three or than *most*."""
    names = [name for name in after if before[name] != after[name]]
    if len(names) <= min(_MOST_PARAMS, most):
        return tuple(
            Differing(name=name, before=str(before[name]), after=str(after[name]), settings=(f"params.{name}",))
            for name in names
        )
    return (
        Differing(
            name="params",
            before=", ".join(f"{name} {before[name]}" for name in names),
            after=", ".join(f"{name} {after[name]}" for name in names),
            settings=("params",),
        ),
    )


def _data(first: Side, second: Side, *with_settings: str) -> Differing:
    return Differing(
        name=" and ".join(("data", *with_settings)),
        before=str(first.training.data),
        after=str(second.training.data),
        settings=("data", *with_settings),
    )


def _have_all(stores: Stores, *sides: Side) -> bool:
    """Whether both data versions have the features of both versions, so that data and features can be mixed."""
    features = {name for side in sides for name in side.recipe.features}
    return all(
        features <= {field.name for field in stores.engine.snapshot(table, version=data.version).schema}
        for table, data in ((side.training.table, side.training.data) for side in sides)
    )


def _inseparable(first: Side, second: Side) -> tuple[Differing, ...]:
    differences = []
    commits = [_commit(side) for side in (first, second)]
    if commits[0] != commits[1]:
        differences.append(Differing(name="code", before=commits[0], after=commits[1]))
    before, after = first.requirements, second.requirements
    if changed := sorted(name for name in {*before, *after} if before.get(name) != after.get(name)):
        versions = [_list(f"{name}{side.get(name, ' –')}" for name in changed) for side in (before, after)]
        differences.append(Differing(name="environment", before=versions[0], after=versions[1]))
    return tuple(differences)


def _commit(side: Side) -> str:
    tags = side.training.run.tags
    commit = tags.get("mlflow.source.git.commit")
    if not commit:
        return text("no commit recorded")
    if tags.get("modelledger.source.git.dirty") == "true":
        return text("{commit} with changes that are not committed", commit=commit[:12])
    return commit[:12]


def _list(names: Any) -> str:
    return ", ".join(sorted(names)) or "–"
