"""When findings were looked for last, by whom, and what was seen."""

import sqlalchemy as sa
from alembic import op

revision = "looks"
down_revision = "absences"
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
