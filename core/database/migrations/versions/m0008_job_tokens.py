"""The token with which a job or a schedule was created."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("jobs", "triggers"):
        op.add_column(table, sa.Column("token", sa.Text))
