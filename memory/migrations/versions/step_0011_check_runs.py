"""What came of running proposed code in a sandbox"""

import sqlalchemy as sa
from alembic import op

from memory.tables import UtcTime

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "check_runs",
        sa.Column("path", sa.String(length=120), nullable=False),
        sa.Column("tree", sa.String(length=40), nullable=False),
        sa.Column("version", sa.String(length=40), nullable=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("sandbox", sa.String(length=120), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("path", "tree", "version"),
    )


def downgrade() -> None:
    op.drop_table("check_runs")
