"""The limits of tenants, adapters, and keys on adapters, and which of them apply to a request.

A key's own limits come with its caller. Plain values, as they were when they were read last.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.accounts.ledger.scopes import Scope, ScopeKind
from lorabay.accounts.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.accounts.callers import Caller

Place = tuple[ScopeKind, str]
"""What a rule is for: its kind, and its name as `Scope` has it."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits by what they are for."""

    limits: Mapping[Place, Limits] = field(default_factory=dict)

    def scopes_of(self, caller: Caller, adapter: str) -> tuple[Scope, ...]:
        """Return everything that limits a request of `caller` to `adapter`."""
        own = [_scope(ScopeKind.KEY, caller.id, caller.limits)] if caller.limits else []
        if not self.limits:
            return tuple(own)

        places: tuple[Place, ...] = (
            (ScopeKind.TENANT, caller.tenant),
            (ScopeKind.ADAPTER, adapter),
            (ScopeKind.KEY_ON_ADAPTER, f"{caller.id}/{adapter}"),
        )
        ruled = [_scope(*place, self.limits[place]) for place in places if place in self.limits]
        return (*own, *ruled)

    def as_list(self) -> list[dict[str, object]]:
        """Return every rule as plain values, for people and programs."""
        return [
            {"kind": str(kind), "name": name, **limits.as_dict()}
            for (kind, name), limits in self.limits.items()
        ]


NO_RULES = Rules()


@lru_cache(maxsize=16_384)
def _scope(kind: ScopeKind, name: str, limits: Limits) -> Scope:
    """Return a scope; the same request comes again and again."""
    return Scope(kind, name, limits)
