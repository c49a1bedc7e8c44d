"""What is used of every limit, and the limits of tenants, adapters, and keys on adapters."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "ledger",
        sa.Column("counter", sa.String(400), nullable=False),
        sa.Column("tally", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("counter", name="pk_ledger"),
    )
    op.create_table(
        "limits",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("requests_per_minute", sa.BigInteger),
        sa.Column("tokens_per_minute", sa.BigInteger),
        sa.Column("tokens_per_day", sa.BigInteger),
        sa.Column("tokens_per_month", sa.BigInteger),
        sa.Column("parallel", sa.BigInteger),
        sa.PrimaryKeyConstraint("kind", "name", name="pk_limits"),
    )
    changes = sa.table("changes", sa.column("name"), sa.column("counter"))
    op.bulk_insert(changes, [{"name": "limits", "counter": 0}])
