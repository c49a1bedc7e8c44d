"""What the servers of a cluster agree on: who keeps the names, what each means, and errands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "name_keepers",
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("front", sa.String(36), nullable=False),
        sa.Column("term", sa.BigInteger, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("newest", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.BigInteger, nullable=False),
        sa.Column("identity", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("cluster", name="pk_name_keepers"),
    )
    op.create_table(
        "name_fronts",
        sa.Column("front", sa.String(36), nullable=False),
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("seen", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("front", name="pk_name_fronts"),
    )
    op.create_table(
        "names",
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("told", sa.Text),
        sa.PrimaryKeyConstraint("cluster", "name", name="pk_names"),
    )
    op.create_index("ix_names_number", "names", ["cluster", "number"])
    op.create_table(
        "name_errands",
        sa.Column("errand", sa.String(36), nullable=False),
        sa.Column("cluster", sa.String(64), nullable=False),
        sa.Column("front", sa.String(36), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("answer", sa.Text),
        sa.PrimaryKeyConstraint("errand", name="pk_name_errands"),
    )
