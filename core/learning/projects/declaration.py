"""MLflow Projects as recipes: what a project declares, and whether it can be run as its recipe asks."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from core.errors import BadParameter, first_line
from core.learning.external_training import PROJECT

BACKENDS = ("local", "databricks", "kubernetes")
# What is handed to every project: as the parameters that it declares (at a Git address: all); here as environment too.
HANDED = ("DataV", "table", "table_uri")
# Settings of the run itself; every other parameter of the recipe is one of the project's.
_OWN = ("backend", "backend_config", "entry_point", "version")
# How the address of a table on this machine begins; every other is an object store's, or a name in a catalog.
_HERE = ("/", "file:")
_TEMPLATE = "kube-job-template-path"
_KUBERNETES_PACKAGES = ("docker", "kubernetes")


@dataclass(frozen=True, kw_only=True)
class ProjectParameter:
    """One parameter of an entry point. *kind* is MLflow's: float, string, path or uri; *default* None: it is needed."""

    name: str
    kind: str = "string"
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project and how it is run. *parameters* are those of its entry point; None where it is not on this disk.

    *values* are what the recipe or a person sets. *backend_config* is the path of a JSON file, or JSON; a file that it
    names lies in *folder*, beside the recipes.
    """

    uri: str
    backend: str
    entry_point: str
    version: str | None
    backend_config: str | None
    folder: Path
    parameters: tuple[ProjectParameter, ...] | None
    values: Mapping[str, Any]

    @property
    def offered(self) -> tuple[ProjectParameter, ...]:
        """What a person may set, the recipe's own values as defaults: all but what is handed in."""
        if self.parameters is None:
            return tuple(ProjectParameter(name=name, default=str(value)) for name, value in self.values.items())
        told = {one.name: self.values.get(one.name, one.default) for one in self.parameters}
        return tuple(
            replace(one, default=None if told[one.name] is None else str(told[one.name]))
            for one in self.parameters
            if one.name not in HANDED
        )

    def given(self, handed: Mapping[str, str]) -> dict[str, str]:
        """What the entry point is called with: the values, the defaults and what is handed in."""
        told = {name: str(value) for name, value in self.values.items()}
        if self.parameters is None:
            return {**told, **handed}
        known = {one.name: one.default for one in self.parameters if one.default is not None}
        return {**known, **told, **{one.name: handed[one.name] for one in self.parameters if one.name in handed}}

    def config(self) -> dict[str, Any]:
        """backend_config as MLflow takes it; empty where none is named. Raises BadParameter."""
        told = self.backend_config
        if told is None:
            return {}
        try:
            found = json.loads(Path(told).read_text(encoding="utf-8") if told.endswith(".json") else told)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise BadParameter(f"backend_config cannot be read: {error}.", name="backend_config") from error
        if not isinstance(found, dict):
            raise BadParameter("backend_config is a JSON object.", name="backend_config")
        if isinstance(template := found.get(_TEMPLATE), str):
            found[_TEMPLATE] = str((self.folder / template).absolute())
        return found


def open_project(estimator: str, params: Mapping[str, Any], folder: Path) -> Project:
    """The project that *estimator* (mlproject:PLACE) names; a relative place lies in *folder*, beside the recipes.

    Raises BadParameter: no such project, entry point, backend or parameter.
    """
    place = estimator.removeprefix(PROJECT).strip()
    own = {name: str(params[name]) for name in _OWN if name in params}
    backend, entry = own.get("backend", "local"), own.get("entry_point", "main")
    if backend not in BACKENDS:
        raise BadParameter(f"backend takes one of {', '.join(BACKENDS)}; {backend!r} is none.", name="backend")
    uri = place if _is_elsewhere(place) else _local(place, folder)
    project = Project(
        uri=uri,
        backend=backend,
        entry_point=entry,
        version=own.get("version"),
        backend_config=_config_place(own.get("backend_config"), folder),
        folder=folder,
        parameters=None if _is_elsewhere(place) else _declared(uri, entry),
        values={name: value for name, value in params.items() if name not in _OWN},
    )
    _check_values(project)
    return project


def check_startable(project: Project, tracking_uri: str, table_uri: str) -> None:
    """Raises BadParameter before anything is started: a value is missing, or what its backend needs is not here.

    *table_uri* is where the table is that it will be trained on.
    """
    needed = [one.name for one in project.offered if one.default is None]
    if needed:
        raise BadParameter(f"The entry point needs a value for {', '.join(needed)}.", name=needed[0])
    config = project.config()
    if project.backend == "local":
        return
    if not config:
        raise BadParameter(
            f"The backend {project.backend} needs backend_config: a JSON file, or its contents.", name="backend_config"
        )
    _check_data(project, table_uri)
    if project.backend == "databricks":
        if not tracking_uri.startswith(("databricks", "http://", "https://")):
            raise BadParameter(
                "The backend databricks logs to an MLflow that it can reach: set MLFLOW_TRACKING_URI=databricks, or "
                "the address of a server.",
                name="backend",
            )
        if "existing_cluster_id" in config:
            raise BadParameter(
                "MLflow runs projects on a new Databricks cluster only: write new_cluster into backend_config, not "
                "existing_cluster_id.",
                name="backend_config",
            )
        return
    missing = [name for name in _KUBERNETES_PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise BadParameter(
            f"The backend kubernetes needs the package {' and '.join(missing)}, which is not installed here.",
            name="backend",
        )
    lacking = [name for name in (_TEMPLATE, "repository-uri") if name not in config]
    if lacking:
        raise BadParameter(f"backend_config lacks {' and '.join(lacking)}.", name="backend_config")
    if not Path(config[_TEMPLATE]).is_file():
        raise BadParameter(f"backend_config names {config[_TEMPLATE]}, which is not there.", name="backend_config")


def _check_data(project: Project, table_uri: str) -> None:
    """Elsewhere the data version is known by the parameters alone, and the table by an address that holds there too."""
    declared = {one.name for one in project.parameters} if project.parameters is not None else set(HANDED)
    if "DataV" not in declared or not declared & {"table", "table_uri"}:
        raise BadParameter(
            f"On {project.backend} a project hears of its data by its parameters alone: declare DataV, and table_uri "
            f"or table, for the entry point {project.entry_point!r}.",
            name="DataV",
        )
    if table_uri.startswith(_HERE):
        raise BadParameter(
            f"The table lies on this machine ({table_uri}), where {project.backend} does not reach it: name it in "
            "MODELLEDGER_TABLES by the address of an object store or by its name in a catalog.",
            name="backend",
        )


def _config_place(told: str | None, folder: Path) -> str | None:
    """A file that is named without its folder lies beside the recipes."""
    return str(folder / told) if told is not None and told.endswith(".json") else told


def _is_elsewhere(place: str) -> bool:
    return "://" in place.split("#")[0] or place.startswith("git@")


def _local(place: str, folder: Path) -> str:
    above, _, below = place.partition("#")
    return str(folder / Path(above).expanduser() / below)


def _declared(uri: str, entry: str) -> tuple[ProjectParameter, ...]:
    try:
        found = yaml.safe_load((Path(uri) / "MLproject").read_text(encoding="utf-8"))
    except OSError as error:
        raise BadParameter(
            f"{uri} is no MLflow Project: its file MLproject cannot be read ({error.strerror}).", name="estimator"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(f"{uri}/MLproject is no YAML: {first_line(error)}.", name="estimator") from error
    entries = (found.get("entry_points") if isinstance(found, dict) else None) or {}
    if not isinstance(entries, dict) or entry not in entries:
        raise BadParameter(
            f"{uri} has no entry point {entry!r}; it has {', '.join(map(str, entries)) or 'none'}.", name="entry_point"
        )
    return tuple(_parameter(str(name), told) for name, told in ((entries[entry] or {}).get("parameters") or {}).items())


def _parameter(name: str, told: Any) -> ProjectParameter:
    """MLflow's two forms: `alpha: float` and `alpha: {type: float, default: 0.1}`."""
    if not isinstance(told, dict):
        return ProjectParameter(name=name, kind=str(told or "string"))
    default = told.get("default")
    if told.get("type") == "float" and default is not None and not _is_number(default):
        raise BadParameter(f"The default of {name} in MLproject is no number: {default!r}.", name=name)
    return ProjectParameter(
        name=name, kind=str(told.get("type") or "string"), default=None if default is None else str(default)
    )


def _check_values(project: Project) -> None:
    if project.parameters is None:
        return
    known = {one.name: one for one in project.parameters}
    for name, value in project.values.items():
        if name in HANDED:
            raise BadParameter(f"{name} is handed in by the training; it is not set by hand.", name=name)
        if name not in known:
            offered = ", ".join(one.name for one in project.offered) or "none"
            raise BadParameter(f"The entry point has no parameter {name!r}; it has {offered}.", name=name)
        if known[name].kind == "float" and not _is_number(value):
            raise BadParameter(f"{name} takes a number; {value!r} is none.", name=name)


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
