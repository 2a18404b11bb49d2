"""Whose every judged change is, whether or not somebody asked for it through the proposer"""

import sqlalchemy as sa
from alembic import op

from memory.tables import UtcTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seen_changes",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("requester", sa.String(length=120), nullable=False),
        sa.Column("opened_at", UtcTime(), nullable=False),
        sa.Column("head", sa.String(length=40), nullable=False),
        sa.Column("touched", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index("ix_seen_changes_requester", "seen_changes", ["requester"])


def downgrade() -> None:
    op.drop_index("ix_seen_changes_requester", table_name="seen_changes")
    op.drop_table("seen_changes")
