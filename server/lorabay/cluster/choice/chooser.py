"""A chooser: the choice, with what it must remember from one request to the next.

That is the traffic, and how wide each adapter is spread. Every router has one of its own; they
need not agree, for each sees its part of the same traffic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.cluster.choice.choice import choose
from lorabay.cluster.choice.traffic import Traffic
from lorabay.cluster.choice.width import NARROW, Rule, Width, followed, wanted_width

if TYPE_CHECKING:
    from lorabay.cluster.choice.choice import View, Wish
    from lorabay.cluster.choice.rendezvous import ReplicaId


class Chooser:
    """Chooses replicas, one request after the other. Not to be shared between threads."""

    def __init__(self, rule: Rule | None = None) -> None:
        self._rule = rule or Rule()
        self._traffic = Traffic()
        self._widths: dict[str, Width] = {}

    def choose(
        self, wish: Wish, view: View, total: int, now: float, *, again: bool = False
    ) -> ReplicaId:
        """Return the replica for a request that comes `now`; see `choice.choose`.

        One that was refused is chosen for `again`, and is no more traffic than before.
        """
        if not again:
            self._traffic.note(wish.key, now)
        width = len(view.replicas) if wish.anywhere else self._followed(wish.key, view, now)
        return choose(wish, width, view, total)

    def width(self, key: str) -> int:
        """Return over how many replicas an adapter is spread."""
        return self._widths.get(key, NARROW).count

    def _followed(self, key: str, view: View, now: float) -> int:
        wanted = wanted_width(
            self._traffic.share(key),
            view.running.get(key, 0) + 1,
            len(view.replicas),
            view.slots,
            self._rule.part,
        )
        width = followed(self._widths.get(key, NARROW), wanted, now, self._rule)

        # Nearly all adapters are narrow, and nothing is kept for them.
        if width == NARROW:
            self._widths.pop(key, None)
        else:
            self._widths[key] = width
        return width.count
