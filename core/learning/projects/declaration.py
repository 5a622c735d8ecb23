"""The declaration of an MLflow Project: its entry point, its parameters, and the values of a recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from core.errors import BadParameter, first_line
from core.learning.external_training import PROJECT

BACKENDS = ("local", "databricks", "kubernetes")
# The parameters that name the data version. A training sets those that the project declares, or all of them if the
# project is at a Git address; on this machine they are environment variables too.
DATA_PARAMETERS = ("DataV", "table", "table_uri")
# Settings of the run; every other parameter of the recipe is a parameter of the project.
_RUN_SETTINGS = ("backend", "backend_config", "entry_point", "version")
TEMPLATE = "kube-job-template-path"


@dataclass(frozen=True, kw_only=True)
class ProjectParameter:
    """One parameter of an entry point. *kind* is float, string, path or uri. Without a *default* it needs a value."""

    name: str
    kind: str = "string"
    default: str | None = None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project and how to run it. *parameters* are those of its entry point; None if the project is not on this disk.

    *values* come from the recipe or from a person. *backend_config* is the path of a JSON file, or JSON; a file that it
    names is in *folder*, beside the recipes.
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
    def settable(self) -> tuple[ProjectParameter, ...]:
        """The parameters that a person can set, with the recipe's values as defaults."""
        if self.parameters is None:
            return tuple(ProjectParameter(name=name, default=str(value)) for name, value in self.values.items())
        defaults = {parameter.name: self.values.get(parameter.name, parameter.default) for parameter in self.parameters}
        return tuple(
            replace(parameter, default=None if (default := defaults[parameter.name]) is None else str(default))
            for parameter in self.parameters
            if parameter.name not in DATA_PARAMETERS
        )

    def arguments(self, data: Mapping[str, str]) -> dict[str, str]:
        """Return the arguments of the entry point: defaults, values, and the parameters that name the *data*."""
        values = {name: str(value) for name, value in self.values.items()}
        if self.parameters is None:
            return {**values, **data}
        names = [parameter.name for parameter in self.parameters]
        defaults = {parameter.name: parameter.default for parameter in self.parameters if parameter.default is not None}
        return {**defaults, **values, **{name: data[name] for name in names if name in data}}

    def read_config(self) -> dict[str, Any]:
        """Return backend_config as MLflow expects it; empty if the recipe has none. Raises BadParameter."""
        written = self.backend_config
        if written is None:
            return {}
        try:
            config = json.loads(Path(written).read_text(encoding="utf-8") if written.endswith(".json") else written)
        except (OSError, UnicodeDecodeError, ValueError) as error:
            raise BadParameter(
                "backend_config cannot be read: {reason}.", reason=first_line(error), name="backend_config"
            ) from error
        if not isinstance(config, dict):
            raise BadParameter("backend_config must be a JSON object.", name="backend_config")
        if isinstance(template := config.get(TEMPLATE), str):
            config[TEMPLATE] = str((self.folder / template).absolute())
        return config


def open_project(estimator: str, params: Mapping[str, Any], folder: Path) -> Project:
    """Return the project that *estimator* (mlproject:PLACE) names. A relative place is in *folder*, beside the recipes.

    Raises:
        BadParameter: the project, entry point, backend or a parameter does not exist or is not valid.
    """
    place = estimator.removeprefix(PROJECT).strip()
    settings = {name: str(params[name]) for name in _RUN_SETTINGS if name in params}
    backend, entry = settings.get("backend", "local"), settings.get("entry_point", "main")
    if backend not in BACKENDS:
        raise BadParameter(
            "backend must be one of {backends}, not {value!r}.",
            backends=", ".join(BACKENDS),
            value=backend,
            name="backend",
        )
    uri = place if _is_remote(place) else _local(place, folder)
    project = Project(
        uri=uri,
        backend=backend,
        entry_point=entry,
        version=settings.get("version"),
        backend_config=_config_place(settings.get("backend_config"), folder),
        folder=folder,
        parameters=None if _is_remote(place) else _declared(uri, entry),
        values={name: value for name, value in params.items() if name not in _RUN_SETTINGS},
    )
    _check_values(project)
    return project


def _config_place(written: str | None, folder: Path) -> str | None:
    """Return backend_config with the full path of a file; a relative path starts beside the recipes."""
    return str(folder / written) if written is not None and written.endswith(".json") else written


def _is_remote(place: str) -> bool:
    return "://" in place.split("#")[0] or place.startswith("git@")


def _local(place: str, folder: Path) -> str:
    above, _, below = place.partition("#")
    return str(folder / Path(above).expanduser() / below)


def _declared(uri: str, entry: str) -> tuple[ProjectParameter, ...]:
    try:
        declaration = yaml.safe_load((Path(uri) / "MLproject").read_text(encoding="utf-8"))
    except OSError as error:
        raise BadParameter(
            "{uri} is not an MLflow Project: its file MLproject cannot be read ({reason}).",
            uri=uri,
            reason=str(error.strerror),
            name="estimator",
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadParameter(
            "{uri}/MLproject is not valid YAML: {reason}.", uri=uri, reason=first_line(error), name="estimator"
        ) from error
    entries = (declaration.get("entry_points") if isinstance(declaration, dict) else None) or {}
    if not isinstance(entries, dict) or entry not in entries:
        raise BadParameter(
            "{uri} has no entry point {entry!r}; its entry points are: {entries}.",
            uri=uri,
            entry=entry,
            entries=", ".join(map(str, entries)) or "-",
            name="entry_point",
        )
    parameters = (entries[entry] or {}).get("parameters") or {}
    return tuple(_parameter(str(name), declared) for name, declared in parameters.items())


def _parameter(name: str, declared: Any) -> ProjectParameter:
    """Read one of MLflow's two forms: `alpha: float` or `alpha: {type: float, default: 0.1}`."""
    if not isinstance(declared, dict):
        return ProjectParameter(name=name, kind=str(declared or "string"))
    default = declared.get("default")
    if declared.get("type") == "float" and default is not None and not _is_number(default):
        raise BadParameter("The default of {name} in MLproject is not a number: {value!r}.", name=name, value=default)
    return ProjectParameter(
        name=name, kind=str(declared.get("type") or "string"), default=None if default is None else str(default)
    )


def _check_values(project: Project) -> None:
    if project.parameters is None:
        return
    parameters = {parameter.name: parameter for parameter in project.parameters}
    for name, value in project.values.items():
        if name in DATA_PARAMETERS:
            raise BadParameter("The training sets {name}; leave it out of the recipe.", name=name)
        if name not in parameters:
            raise BadParameter(
                "The entry point has no parameter {name!r}; its parameters are: {parameters}.",
                name=name,
                parameters=", ".join(parameter.name for parameter in project.settable) or "-",
            )
        if parameters[name].kind == "float" and not _is_number(value):
            raise BadParameter("{name} must be a number, not {value!r}.", name=name, value=value)


def _is_number(value: object) -> bool:
    try:
        float(str(value))
    except ValueError:
        return False
    return True
