"""Loads that admins wait for, each of which an unload of the same name overtakes.

Knows nothing of how a version is loaded.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import AdapterConflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.catalog.names import AdapterName


@dataclass(eq=False, slots=True)
class AdminLoad:
    """One load under way."""

    name: AdapterName
    is_overtaken: bool = False

    def is_wanted(self) -> bool:
        """Return whether nobody has unloaded the name since the load was asked for."""
        return not self.is_overtaken

    def check(self) -> None:
        """Raise AdapterConflict if the name was unloaded since the load was asked for."""
        if self.is_overtaken:
            raise AdapterConflict(f"adapter {self.name!r} was unloaded meanwhile")


class AdminLoads:
    """The loads under way, by whichever admins."""

    def __init__(self) -> None:
        self._loads: set[AdminLoad] = set()

    @property
    def names(self) -> frozenset[str]:
        """The names that are being loaded."""
        return frozenset(load.name for load in self._loads)

    @contextmanager
    def begin(self, name: AdapterName) -> Iterator[AdminLoad]:
        """Count a load as under way for the time of the block."""
        load = AdminLoad(name)
        self._loads.add(load)
        try:
            yield load
        finally:
            self._loads.remove(load)

    def overtake(self, name: str) -> None:
        """Note that a name is unloaded while it is loaded: the load comes to nothing."""
        for load in self._loads:
            if load.name == name:
                load.is_overtaken = True
