"""The parts that know a server's adapters, without its engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lorabay.catalog.registry import Registry
    from lorabay.catalog.store import Store
    from lorabay.serving.events import EventLog
    from lorabay.serving.reconciler import Directory, Reconciler


@dataclass(frozen=True, slots=True)
class Catalogue:
    """One adapter directory: where it is, what was stored of it, what is live, who follows it, what
    happened.
    """

    directory: Directory
    store: Store
    registry: Registry
    reconciler: Reconciler
    events: EventLog
