"""Reasons for a refusal: each with a code for programs and a sentence for people.

"Cannot be served" is a value here (`Rejected` with every reason), never an exception. Knows nothing
of adapters, except how the names of their layers are numbered.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEPT_PER_CODE = 2000
"""More than any model has modules: enough for every real defect, too few to fill the memory."""

_SHOWN_PER_CODE = 5

_DISK = frozenset({"read_failed", "store_write", "store_full"})

_TRANSIENT = frozenset({"vanished", "changed_while_read", *_DISK})

_LAYER_NUMBER = re.compile(r"(?<=\.layers\.)\d+(?=\.)")


@dataclass(frozen=True, slots=True)
class Reason:
    """One defect: a short stable code for programs and metrics, a sentence for people."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not servable, with every reason that was seen."""

    reasons: tuple[Reason, ...]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(reason.code for reason in self.reasons)

    @property
    def brief(self) -> Rejected:
        """Every kind of defect; one that repeats is cut to its first few and a count."""
        return Rejected(_cut(self.reasons, _SHOWN_PER_CODE))

    @property
    def merged(self) -> tuple[Reason, ...]:
        """All reasons in order; those that differ only in the layer are one.

        It stands where the first of them is, and says `layers.{0-3,5}`.
        """
        groups: dict[tuple[str, str, str], set[int]] = {}
        for reason in self.reasons:
            match = _LAYER_NUMBER.search(reason.text)
            if match is None:
                groups.setdefault((reason.code, reason.text, ""), set())
            else:
                before, after = reason.text[: match.start()], reason.text[match.end() :]
                groups.setdefault((reason.code, before, after), set()).add(int(match[0]))

        return tuple(
            Reason(code, f"{before}{_ranges(layers)}{after}")
            for (code, before, after), layers in groups.items()
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences of the merged reasons."""
        return tuple(reason.text for reason in self.merged)

    @property
    def line(self) -> str:
        """All sentences on one line."""
        return "; ".join(self.sentences)

    @property
    def transient(self) -> bool:
        """True if the same folder may pass later unchanged: it was moving, or a disk was full."""
        return bool(self.codes & _TRANSIENT)

    @property
    def is_disks_fault(self) -> bool:
        """True if a disk failed, or was full, so that nothing is known of the folder."""
        return bool(self.codes & _DISK)


def quoted(value: object) -> str:
    """Return `value` from an untrusted file, safe and short enough for a log or a terminal."""
    text = ascii(value)
    if len(text) <= 100:
        return text

    return f"{text[:90]}... ({len(text)} characters)"


def rejected(reasons: Iterable[Reason]) -> Rejected:
    """Return a refusal with every reason once.

    A kind that repeats more than 2,000 times is cut to its first 2,000 and a count. Of a generator,
    no more than these are in memory at a time.
    """
    return Rejected(_cut(reasons, _KEPT_PER_CODE))


def _cut(reasons: Iterable[Reason], count: int) -> tuple[Reason, ...]:
    """Return at most `count` reasons of each code, each once, and how many more there are."""
    by_code: defaultdict[str, dict[Reason, None]] = defaultdict(dict)
    more: Counter[str] = Counter()
    for reason in reasons:
        same = by_code[reason.code]
        if len(same) < count:
            same[reason] = None
        elif reason not in same:
            more[reason.code] += 1

    kept: list[Reason] = []
    for code, same in by_code.items():
        kept += same

        if more[code]:
            kept.append(Reason(code, f"... and {more[code]} more of this kind"))

    return tuple(kept)


def _ranges(numbers: set[int]) -> str:
    """Return nothing, `7`, or `{0-3,5}` for several."""
    ordered = sorted(numbers)
    if len(ordered) < 2:
        return "".join(map(str, ordered))

    gaps = [place for place, (one, two) in enumerate(pairwise(ordered), 1) if two != one + 1]
    parts = []
    for begin, end in pairwise([0, *gaps, len(ordered)]):
        first, last = ordered[begin], ordered[end - 1]
        parts.append(str(first) if first == last else f"{first}-{last}")
    return "{" + ",".join(parts) + "}"
