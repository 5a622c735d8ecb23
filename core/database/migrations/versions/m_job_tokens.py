"""The token by which a job or a schedule was asked for."""

import sqlalchemy as sa
from alembic import op

revision = "job_tokens"
down_revision = "identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("jobs", "triggers"):
        op.add_column(table, sa.Column("token", sa.Text))
