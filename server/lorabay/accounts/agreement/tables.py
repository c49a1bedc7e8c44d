"""The tables of the agreement: keepers, fronts, names, errands. Each row belongs to a cluster."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, String, Table, Text

from lorabay.accounts.database.metadata import METADATA

KEEPERS = Table(
    "name_keepers",
    METADATA,
    Column("cluster", String(64), primary_key=True),
    # Empty after one that has left.
    Column("front", String(36), nullable=False),
    Column("term", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("identity", String(255), nullable=False),
)
"""Who keeps the names of a cluster, the number of the newest change, and up to which all know."""

FRONTS = Table(
    "name_fronts",
    METADATA,
    Column("front", String(36), primary_key=True),
    Column("cluster", String(64), nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
)
"""The servers that answer for the names of a cluster, and the newest change that each knows."""

NAMES = Table(
    "names",
    METADATA,
    Column("cluster", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("told", Text),
)
"""What each name means, and the number of its newest change; nothing is told of one that went."""

Index("ix_names_number", NAMES.c.cluster, NAMES.c.number)

ERRANDS = Table(
    "name_errands",
    METADATA,
    Column("errand", String(36), primary_key=True),
    Column("cluster", String(64), nullable=False),
    Column("front", String(36), nullable=False),
    Column("question", Text, nullable=False),
    Column("answer", Text),
)
"""What other servers ask the keeper to do, and what came of it."""
