"""`Weights` that are always in the engine, and write down every call."""

from __future__ import annotations

from lorabay.catalog.versions import Version
from lorabay.errors import LorabayError
from lorabay.serving.holds import Hold, Holds


class FakeWeights:
    """`notes` are the steps in order; with a `failure`, no version can be had."""

    def __init__(self, failure: LorabayError | None = None) -> None:
        self.failure = failure
        self.refused: set[Version] = set()
        self.notes: list[tuple[str, Version]] = []
        self.holds = Holds(freed=lambda: None)

    def hold(self, version: Version) -> Hold:
        return self.holds.take(version)

    async def ensure(self, version: Version) -> None:
        self.notes.append(("ensure", version))
        if self.failure is not None:
            raise self.failure

    def admits(self, version: Version) -> bool:
        return version not in self.refused

    def answered(self, version: Version) -> None:
        self.notes.append(("answered", version))

    def ended(self, version: Version) -> None:
        self.notes.append(("ended", version))
