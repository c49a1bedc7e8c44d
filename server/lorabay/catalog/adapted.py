"""What an engine says of the modules of one base: which of them it would not adapt, and why.

An adapter that changes such a module would answer with a part of itself, or like the base. This
module holds the answer, and makes reasons of it. It does not know how an engine is asked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.catalog.canonical import last_part
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True)
class Adapted:
    """The answer of an engine: it adapts every module of the base but those in `unadapted`.

    `unadapted` maps a module, named as in the base's files, to the reason.
    """

    unadapted: Mapping[str, str]

    @property
    def identity(self) -> str:
        """Hash that changes whenever an adapter might be judged differently."""
        facts = sorted(self.unadapted.items())
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @cached_property
    def unadapted_ends(self) -> frozenset[str]:
        """How the names of those modules end, as specs of versions name them."""
        return frozenset(map(last_part, self.unadapted))

    def problems(self, modules: Iterable[str]) -> Iterator[Reason]:
        """Yield a reason for each of `modules` that the engine would not adapt."""
        for module in modules:
            why = self.unadapted.get(module)
            if why is None:
                continue

            text = f"the adapter changes {quoted(module)}, which the engine does not adapt: {why}"
            yield Reason("module_not_adapted", text)


@dataclass(frozen=True, slots=True)
class NotAsked:
    """No answer, and why; what an adapter's load then finds is the engine's own word."""

    why: str

    @property
    def sentence(self) -> str:
        """The same for people."""
        return f"the engine was not asked which modules it adapts: {self.why}"
