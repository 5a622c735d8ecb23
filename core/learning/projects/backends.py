"""The backends of MLflow Projects: check that a project can start on its backend."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from core.errors import BadParameter
from core.learning.projects.declaration import DATA_PARAMETERS, TEMPLATE, Project

# The start of the address of a table on this machine. Other addresses are object stores or names in a catalog.
_LOCAL_PREFIXES = ("/", "file:")
_KUBERNETES_PACKAGES = ("docker", "kubernetes")


def check_startable(project: Project, tracking_uri: str, table_uri: str) -> None:
    """Check before anything starts that *project* has all values and that its backend has all it needs.

    *table_uri* is the address of the table that the project is trained on. Raises BadParameter.
    """
    missing = [parameter.name for parameter in project.settable if parameter.default is None]
    if missing:
        raise BadParameter(
            "The entry point needs a value for {parameters}.", parameters=", ".join(missing), name=missing[0]
        )
    config = project.read_config()
    if project.backend == "local":
        return
    if not config:
        raise BadParameter(
            "The backend {backend} needs backend_config: a JSON file, or JSON.",
            backend=project.backend,
            name="backend_config",
        )
    _check_data(project, table_uri)
    if project.backend == "databricks":
        if not tracking_uri.startswith(("databricks", "http://", "https://")):
            raise BadParameter(
                "The backend databricks needs an MLflow server that it can reach: set MLFLOW_TRACKING_URI to "
                "databricks or to the address of a server.",
                name="backend",
            )
        if "existing_cluster_id" in config:
            raise BadParameter(
                "MLflow runs projects only on a new Databricks cluster: write new_cluster into backend_config instead "
                "of existing_cluster_id.",
                name="backend_config",
            )
        return
    packages = [name for name in _KUBERNETES_PACKAGES if importlib.util.find_spec(name) is None]
    if packages:
        raise BadParameter(
            "The backend kubernetes needs packages that are not installed here: {packages}.",
            packages=", ".join(packages),
            name="backend",
        )
    keys = [name for name in (TEMPLATE, "repository-uri") if name not in config]
    if keys:
        raise BadParameter("backend_config lacks {keys}.", keys=", ".join(keys), name="backend_config")
    if not Path(config[TEMPLATE]).is_file():
        raise BadParameter(
            "backend_config names {file}, which does not exist.", file=config[TEMPLATE], name="backend_config"
        )


def _check_data(project: Project, table_uri: str) -> None:
    """Check that a project on another machine gets the data version and can reach the table. Raises BadParameter."""
    declared = (
        {parameter.name for parameter in project.parameters} if project.parameters is not None else set(DATA_PARAMETERS)
    )
    if "DataV" not in declared or not declared & {"table", "table_uri"}:
        raise BadParameter(
            "On {backend} a project gets its data version only by parameters: declare DataV, and table_uri or table, "
            "for the entry point {entry_point!r}.",
            backend=project.backend,
            entry_point=project.entry_point,
            name="DataV",
        )
    if table_uri.startswith(_LOCAL_PREFIXES):
        raise BadParameter(
            "The table is on this machine ({uri}), where {backend} cannot reach it: register it in MODELLEDGER_TABLES "
            "by the address of an object store or by its name in a catalog.",
            uri=table_uri,
            backend=project.backend,
            name="backend",
        )
