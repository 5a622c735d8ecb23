"""Findings: facts that somebody must look into."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "findings",
        sa.Column("id", sa.Text, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("kind", "subject", "severity", "owner")),
        sa.Column("due", _MOMENT, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("expected", "found", "detail", "opened_by")),
        sa.Column("opened_at", _MOMENT, nullable=False),
        sa.Column("last_seen", _MOMENT, nullable=False),
        sa.Column("closed_by", sa.Text),
        sa.Column("closed_at", _MOMENT),
        sa.Column("reason", sa.Text),
    )
    op.create_index("findings_open", "findings", ["closed_at", "due"])
