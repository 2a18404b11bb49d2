"""The facts of verdicts compressed, and only those of each change's last verdict"""

import zlib

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_OLD = sa.table("facts", sa.column("sha", sa.String), sa.column("body", sa.Text))
_NEW = sa.table(
    "facts", sa.column("sha", sa.String), sa.column("packed", sa.LargeBinary), sa.column("size", sa.Integer)
)


def upgrade() -> None:
    op.execute(
        "DELETE FROM facts WHERE sha NOT IN (SELECT facts_sha FROM verdicts WHERE facts_sha IS NOT NULL "
        "AND id IN (SELECT max(id) FROM verdicts GROUP BY number))"
    )
    op.add_column("facts", sa.Column("packed", sa.LargeBinary(), nullable=True))
    op.add_column("facts", sa.Column("size", sa.Integer(), nullable=True))
    connection = op.get_bind()
    for sha in list(connection.scalars(sa.select(_OLD.c.sha))):
        body = connection.scalars(sa.select(_OLD.c.body).where(_OLD.c.sha == sha)).one()
        packed = zlib.compress(body.encode())
        connection.execute(sa.update(_NEW).where(_NEW.c.sha == sha).values(packed=packed, size=len(packed)))
    with op.batch_alter_table("facts") as batch:
        batch.drop_column("body")
        batch.alter_column("packed", existing_type=sa.LargeBinary(), nullable=False)
        batch.alter_column("size", existing_type=sa.Integer(), nullable=False)


def downgrade() -> None:
    op.add_column("facts", sa.Column("body", sa.Text(), nullable=True))
    connection = op.get_bind()
    for sha in list(connection.scalars(sa.select(_NEW.c.sha))):
        packed = connection.scalars(sa.select(_NEW.c.packed).where(_NEW.c.sha == sha)).one()
        body = zlib.decompress(packed).decode()
        connection.execute(sa.update(_OLD).where(_OLD.c.sha == sha).values(body=body))
    with op.batch_alter_table("facts") as batch:
        batch.drop_column("size")
        batch.drop_column("packed")
        batch.alter_column("body", existing_type=sa.Text(), nullable=False)
