"""Tokens for the command line, and sign-ins that ended before they expired."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_MOMENT = sa.String(32)


def upgrade() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("issued_by", sa.Text, nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT, nullable=False),
        sa.Column("revoked", _MOMENT),
        sa.Column("revoked_by", sa.Text),
    )
    op.create_table(
        "sign_outs",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("expires", _MOMENT, nullable=False),
    )
