"""Gates and evidence twice: as they were at the request, and as they were at the decision.

*record* says how a row keeps them. In a row of record 1, made before this migration, the columns *gates* and *evidence*
stay as they are, because the audit log holds their hashes: an approval had replaced the gates of the request by those
of the decision, and the evidence is that of the request. Rows of record 2 keep both.

The index lets one pending request for the same version and stage exist. Older rows may repeat.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("requests", sa.Column("decision_gates", sa.Text))
    op.add_column("requests", sa.Column("decision_evidence", sa.Text))
    op.add_column("requests", sa.Column("checked_at", sa.String(32)))
    op.add_column("requests", sa.Column("record", sa.Integer, nullable=False, server_default="1"))
    is_pending = sa.text("status IN ('open', 'unfinished') AND kind = 'promotion' AND record >= 2")
    op.create_index(
        "requests_pending",
        "requests",
        ["model", "version", "to_stage"],
        unique=True,
        sqlite_where=is_pending,
        postgresql_where=is_pending,
    )
