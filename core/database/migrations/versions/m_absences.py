"""Since when a finding's fact is not seen any more, so that it is new when it comes back."""

import sqlalchemy as sa
from alembic import op

revision = "absences"
down_revision = "findings"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "finding_absences",
        sa.Column("finding_id", sa.Text, sa.ForeignKey("findings.id"), primary_key=True),
        sa.Column("since", sa.String(32), nullable=False),
    )
