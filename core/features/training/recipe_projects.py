"""The MLflow Project of a recipe: open it, and list the parameters that a person can set."""

from __future__ import annotations

from core.access.permissions import Action, require
from core.entities import Actor, Recipe
from core.features.stores import Stores
from core.learning.external_training import is_project
from core.learning.projects.backends import check_startable
from core.learning.projects.declaration import Project, ProjectParameter, open_project


def project_of(stores: Stores, recipe: Recipe) -> Project:
    """Return the project of *recipe*, ready to start on the recipe's table.

    Raises:
        BadParameter: the project, entry point, backend or a parameter is not valid, a value is missing, or the backend
            lacks something.
        TableNotFound: the recipe's table is not registered.
    """
    project = _open(stores, recipe)
    check_startable(project, stores.settings.tracking_uri, stores.catalog.resolve(recipe.table).uri)
    return project


def project_parameters(stores: Stores, actor: Actor, recipe: Recipe) -> tuple[ProjectParameter, ...]:
    """Return the parameters that a person can set; empty if the recipe is not a project. Raises BadParameter."""
    require(actor, Action.RUN_READ)
    return _open(stores, recipe).settable if is_project(recipe.estimator) else ()


def _open(stores: Stores, recipe: Recipe) -> Project:
    return open_project(recipe.estimator, recipe.params, stores.settings.recipes_folder)
