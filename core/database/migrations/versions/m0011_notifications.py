"""How far each notification channel has come in the audit log, who sends for it now, and how the last try ended."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notification_channels",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("cursor", sa.BigInteger, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("lease_expires", sa.String(32)),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_try", sa.String(32)),
        sa.Column("last_sent", sa.String(32)),
        sa.Column("last_error", sa.Text),
        sa.Column("last_error_at", sa.String(32)),
        sa.Column("given_up", sa.Integer, nullable=False),
        sa.Column("stopped", sa.Boolean, nullable=False),
    )
