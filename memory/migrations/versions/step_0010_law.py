"""What a replay of past decisions and a rate for any kind of change need"""

import sqlalchemy as sa
from alembic import op

from memory.tables import UtcTime

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("verdicts", sa.Column("facts_sha", sa.String(length=64), nullable=True))
    op.add_column("verdicts", sa.Column("ledger_seq", sa.Integer(), nullable=True))
    op.add_column("rate_slots", sa.Column("requester", sa.String(length=120), nullable=True))
    op.create_table(
        "facts",
        sa.Column("sha", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sha"),
    )
    op.create_table(
        "replays",
        sa.Column("before", sa.String(length=40), nullable=False),
        sa.Column("after", sa.String(length=40), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("before", "after"),
    )


def downgrade() -> None:
    op.drop_table("replays")
    op.drop_table("facts")
    with op.batch_alter_table("rate_slots") as batch:
        batch.drop_column("requester")
    with op.batch_alter_table("verdicts") as batch:
        batch.drop_column("ledger_seq")
        batch.drop_column("facts_sha")
