"""When people were told that a cause is over"""

import sqlalchemy as sa
from alembic import op

from memory.tables import UtcTime

revision = "0008"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts", sa.Column("over_told_at", UtcTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("alerts", "over_told_at")
