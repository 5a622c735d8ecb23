"""A recipe's MLflow Project, looked at where it lies, beside the recipes."""

from __future__ import annotations

from core.access.permissions import Action, require
from core.entities import Actor, Recipe
from core.features.stores import Stores
from core.learning.external_training import is_project
from core.learning.projects.declaration import Project, ProjectParameter, check_startable, open_project


def project_of(stores: Stores, recipe: Recipe) -> Project:
    """The project, ready to be started on the recipe's table.

    Raises BadParameter: no such project, entry point, backend or parameter, a value that is missing, or something that
    its backend needs. Raises TableNotFound.
    """
    project = _opened(stores, recipe)
    check_startable(project, stores.settings.tracking_uri, stores.catalog.resolve(recipe.table).uri)
    return project


def project_parameters(stores: Stores, actor: Actor, recipe: Recipe) -> tuple[ProjectParameter, ...]:
    """What a person may set of a recipe that is a project; empty for any other. Raises BadParameter."""
    require(actor, Action.RUN_READ)
    return _opened(stores, recipe).settable if is_project(recipe.estimator) else ()


def _opened(stores: Stores, recipe: Recipe) -> Project:
    return open_project(recipe.estimator, recipe.params, stores.settings.recipes_folder)
