"""The table of the audit.

All that a row tells is in one column, which is hashed: there is nothing beside it that could be
changed without a trace, and whatever bytes a damaged row holds can be read.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from lorabay.accounts.database.metadata import METADATA

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
)

AUDIT_CHANGE = "audit"
"""What rows are counted as; the counter is the number of the newest row."""
