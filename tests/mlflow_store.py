"""MLflow's database of any of its schemas, made by MLflow's own migrations as `mlflow db upgrade` runs them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base

# The newest schema revision of MLflow 1.30.0's package.
MLFLOW_1_30 = "97727af70f4d"


def make_store(uri: str, revision: str = "heads") -> str:
    """Make MLflow's tables in the empty or missing database *uri*, at *revision*, and return *uri*."""
    engine = sa.create_engine(uri, poolclass=sa.pool.NullPool)
    Base.metadata.create_all(engine)
    config = _get_alembic_config(uri)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
    return uri
