"""Since when a finding's fact is absent: a fact that returns later is a new finding."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding_absences",
        sa.Column("finding_id", sa.Text, sa.ForeignKey("findings.id"), primary_key=True),
        sa.Column("since", sa.String(32), nullable=False),
    )
