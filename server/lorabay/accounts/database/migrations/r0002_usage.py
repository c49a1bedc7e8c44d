"""What each exchange cost, and the sums by day that reports read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = 255


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "usage",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("key", sa.String(NAME), nullable=False),
        sa.Column("tenant", sa.String(NAME), nullable=False),
        sa.Column("adapter", sa.String(NAME), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("call", sa.String(32), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("generated_tokens", sa.BigInteger, nullable=False),
        sa.Column("prompts", sa.Integer, nullable=False),
        sa.Column("sequences", sa.Integer, nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("queue_ms", sa.BigInteger),
        sa.Column("first_token_ms", sa.BigInteger),
        sa.Column("total_ms", sa.BigInteger, nullable=False),
        sa.Column("code", sa.Integer, nullable=False),
        sa.Column("ended", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage"),
        sqlite_with_rowid=False,
    )
    labels = ("day", "key", "tenant", "adapter", "version", "call")
    op.create_table(
        "usage_days",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("key", sa.String(NAME), nullable=False),
        sa.Column("tenant", sa.String(NAME), nullable=False),
        sa.Column("adapter", sa.String(NAME), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("call", sa.String(32), nullable=False),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger, nullable=False),
        sa.Column("cached_tokens", sa.BigInteger, nullable=False),
        sa.Column("generated_tokens", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint(*labels, name="pk_usage_days"),
        sqlite_with_rowid=False,
    )
