"""Versions that requests compute with, or are about to: their weights stay in the engine.

A request holds its version from its turn until it is over. One that still waits for its turn has a
lease, and holds nothing: what it waits for may make room meanwhile, and is loaded when the turn has
come. Otherwise those that wait could fill the engine, and nobody whose turn it is would find room.

Runs on one event loop. Knows nothing of turns or of places.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lorabay.catalog.versions import Digest, Version


class Hold:
    """One request's hold on the weights of one version; releasing twice is harmless."""

    __slots__ = ("_release",)

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Let the weights make room again, as far as this request is concerned."""
        release, self._release = self._release, None
        if release is not None:
            release()


class Holds:
    """The holds on one engine's weights; `freed` is called whenever weights lose their last one."""

    def __init__(self, freed: Callable[[], None]) -> None:
        self._freed = freed
        self._by_version: Counter[Version] = Counter()
        self._by_weights: Counter[Digest] = Counter()

    def take(self, version: Version) -> Hold:
        """Return one more hold on a version, whether its weights are in the engine yet or not."""
        self._by_version[version] += 1
        self._by_weights[version.weights] += 1
        return Hold(lambda: self._release(version))

    def on(self, weights: Digest) -> bool:
        """Return whether anybody holds weights, by whatever version that shares them."""
        return self._by_weights[weights] > 0

    def versions(self) -> frozenset[Version]:
        """Return the versions that are held."""
        return frozenset(self._by_version)

    def _release(self, version: Version) -> None:
        self._by_version[version] -= 1
        if not self._by_version[version]:
            del self._by_version[version]

        self._by_weights[version.weights] -= 1
        if not self._by_weights[version.weights]:
            del self._by_weights[version.weights]
            self._freed()
