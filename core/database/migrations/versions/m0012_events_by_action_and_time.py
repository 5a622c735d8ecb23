"""Indexes of the audit log by action and by time: an earlier state is computed from only the events that matter."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("events_action", "events", ["action", "sequence"])
    op.create_index("events_time", "events", ["time", "sequence"])
