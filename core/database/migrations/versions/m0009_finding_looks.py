"""The last check for findings: when it ended, who started it and what it saw."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding_looks",
        sa.Column("at", sa.String(32), primary_key=True),
        sa.Column("by", sa.Text, nullable=False),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.Column("new", sa.Integer, nullable=False),
    )
