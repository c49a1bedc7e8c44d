"""What administrators may do: three roles, of which each may do what the one before may.

Values only. Which path needs which role is said in `api.administrators`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Role(IntEnum):
    """A role; a greater one may do more."""

    VIEWER = 1
    """Looks at adapters, events and usage."""

    OPERATOR = 2
    """Also changes what is served: loads, pins, rolls back, unloads."""

    OWNER = 3
    """Also makes and ends keys, and reads the audit."""

    def __str__(self) -> str:
        return self.name.lower()


ROLE_NAMES = tuple(str(role) for role in Role)


def read_role(name: str) -> Role:
    """Return the role of this name; raises ValueError."""
    if name not in ROLE_NAMES:
        raise ValueError(f"{name!r} is no role; there are {', '.join(ROLE_NAMES)}")
    return Role[name.upper()]


def role_of(groups: Iterable[str], roles: Mapping[str, Role]) -> Role | None:
    """Return the greatest role that one of the groups has; None if none has any."""
    return max((roles[group] for group in groups if group in roles), default=None)
