"""The tables of tenants and keys. A key is never deleted: usage and audit name it for years."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, LargeBinary, String, Table, Text

from lorabay.accounts.database.metadata import METADATA
from lorabay.accounts.limits import LIMIT_NAMES

TENANTS = Table(
    "tenants",
    METADATA,
    Column("id", String(64), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
)

KEYS = Table(
    "keys",
    METADATA,
    Column("id", String(8), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("tenant", String(64), ForeignKey("tenants.id"), nullable=False, index=True),
    Column("secret_hash", LargeBinary, nullable=False),
    # The secret before the last rotation, and until when it is taken, too.
    Column("former_hash", LargeBinary),
    Column("former_until", BigInteger),
    # Words joined by commas; no endpoints are all of them.
    Column("adapters", Text, nullable=False),
    Column("endpoints", Text),
    *(Column(name, BigInteger) for name in LIMIT_NAMES),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("revoked_by", String(128)),
    # The number of its newest change: see `accounts.database.changes`.
    Column("change", BigInteger, nullable=False, index=True),
)
