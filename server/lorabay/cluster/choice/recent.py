"""What was noted lately: each key for some seconds."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from itertools import takewhile
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Recent(Generic[Key]):
    """Keys that were noted within the last `seconds`. Times are told, and never go back."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[Key, float] = {}
        """In the order in which they end."""

    def note(self, key: Key, now: float) -> None:
        """Note a key, or once more."""
        self._until.pop(key, None)
        self._until[key] = now + self._seconds

    def discard(self, key: Key) -> None:
        """Forget a key, if it is there."""
        self._until.pop(key, None)

    def forget(self, now: float) -> list[Key]:
        """Forget the keys whose time is over, and return them."""
        old = list(takewhile(lambda key: self._until[key] <= now, self._until))
        for key in old:
            del self._until[key]
        return old

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there."""
        return key in self._until

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys."""
        return iter(self._until)
