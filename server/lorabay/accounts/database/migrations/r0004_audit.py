"""The audit: what was done to keys, limits and adapters, in rows that are chained."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "audit",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("entry", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_audit"),
    )
    changes = sa.table("changes", sa.column("name"), sa.column("counter"))
    op.bulk_insert(changes, [{"name": "audit", "counter": 0}])
