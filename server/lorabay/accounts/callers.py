"""Who asks: the id of a key, its tenant, what it may use and how much; or an administrator.

Values only. Knows nothing of how a caller was identified.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.accounts.limits import UNLIMITED, Limits
from lorabay.accounts.permissions import ALL, permissions

if TYPE_CHECKING:
    from lorabay.accounts.permissions import Permissions
    from lorabay.accounts.roles import Role

DEFAULT_TENANT = "default"
"""The tenant of who has none: the operator's own keys, and keys that were made without one."""

ALL_PERMISSIONS = permissions(ALL)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever sends a request; `id` is fit for logs and never holds a key."""

    id: str
    tenant: str = DEFAULT_TENANT
    permissions: Permissions = ALL_PERMISSIONS
    limits: Limits = UNLIMITED

    role: Role | None = None
    """What an administrator may do; None for clients."""
