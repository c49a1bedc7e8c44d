"""Builds the one adapter that a composite folder stands for, from private copies of its members.

Members are copied exactly as they are at one moment, from inside the allowed roots only, and may be
composites themselves; a folder that contains itself is refused. The result is plain LoRA as PEFT
writes it. Every problem of a member is a reason with its name.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.combination import Part, combine
from lorabay.algebra.updates import LowRank, Replaced, ReplacedRows
from lorabay.catalog.composite import (
    COMPOSITE_FILE,
    DEPTH_AT_MOST,
    Composite,
    member_folder,
    read_composite,
)
from lorabay.catalog.names import bare_name
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE, Limits, copy_adapter
from lorabay.formats.base_layer_copies import without_copies
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.writer import LoraFolder
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights

    Matrix = NDArray[np.float32]


def is_composite(folder: Path) -> bool:
    """Whether the folder stands for others; one with weights of its own does not."""
    # Path.exists would raise for a folder that may not be entered; why it cannot be read is told
    # when it is read.
    if any(
        os.access(folder / name, os.F_OK, effective_ids=True)
        for name in (CONFIG_FILE, WEIGHTS_FILE)
    ):
        return False
    return os.access(folder / COMPOSITE_FILE, os.F_OK, effective_ids=True)


@dataclass(frozen=True, slots=True)
class Assembly:
    """Where members may lie, how large they may be, and the base that they are for.

    `trusted` says that regular expressions in their configs may be evaluated. `weights` are what a
    member's copies of the base's embeddings are compared with; without them only shapes are.
    """

    base: BaseShapes
    roots: tuple[Path, ...]
    limits: Limits
    trusted: bool = False
    weights: BaseWeights | None = None

    def take(self, folder: Path, target: Path, within: tuple[Path, ...] = ()) -> Rejected | None:
        """Put the adapter that `folder` holds, or stands for, into the empty folder `target`; None
        when it is there.

        Errors of writing are raised as OSError.
        """
        if not is_composite(folder):
            return copy_adapter(folder, target, roots=self.roots, limits=self.limits)
        composite = read_composite(folder, self.limits, roots=self.roots)
        if isinstance(composite, Rejected):
            return composite
        real = folder.resolve()
        if real in within:
            chain = " -> ".join(path.name for path in (*within[within.index(real) :], real))
            return rejected([Reason("composite_cycle", f"the composite contains itself: {chain}")])
        if len(within) >= DEPTH_AT_MOST:
            return rejected(
                [Reason("composite_depth", f"composites are more than {DEPTH_AT_MOST} deep")]
            )
        members: list[AdapterUpdates] = []
        reasons: list[Reason] = []
        for place, member in enumerate(composite.members):
            found = self._member(folder, member.adapter, target / f"member{place}", (*within, real))
            if isinstance(found, Rejected):
                whose = f"member {quoted(member.adapter)} in {str(member_folder(folder, member.adapter))!a}"
                reasons += (
                    Reason(reason.code, f"{whose}: {reason.text}") for reason in found.reasons
                )
            else:
                members.append(found)
        reasons += _misfits(composite, members) if not reasons else ()
        if reasons:
            return rejected(reasons)
        problem = self._combined(composite, members, target)
        for place in range(len(members)):
            shutil.rmtree(target / f"member{place}")
        return problem

    def _member(
        self, folder: Path, name: str, target: Path, within: tuple[Path, ...]
    ) -> AdapterUpdates | Rejected:
        place = member_folder(folder, name)
        if missing := self._missing(place):
            return rejected([missing])
        target.mkdir()
        if problem := self.take(place, target, within):
            return problem
        found = read_updates(target, self.base, self.limits, trusted=self.trusted)
        if isinstance(found, Rejected):
            return found
        own = without_copies(found.updates, self.base, self.weights)
        if isinstance(own, Rejected):
            return own
        found = replace(found, updates=own)
        unfit = _no_product(found)
        return rejected([unfit]) if unfit else found

    def _missing(self, place: Path) -> Reason | None:
        try:
            real = place.resolve()
            if not any(real.is_relative_to(root) for root in self.roots):
                return Reason(
                    "link_outside", "it lies outside the adapter directory and the allowed roots"
                )
            is_there = real.is_dir()
        except (OSError, ValueError, RuntimeError):  # too long, a NUL byte, a link to itself
            is_there = False
        return None if is_there else Reason("member_missing", "there is no such folder")

    def _combined(
        self, composite: Composite, members: Sequence[AdapterUpdates], target: Path
    ) -> Rejected | None:
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for place, (member, found) in enumerate(zip(composite.members, members, strict=True)):
            for name, updates in found.updates.items():
                products = (
                    _blaming(member.adapter, update)
                    for update in updates
                    if isinstance(update, LowRank)
                )
                parts[name.removesuffix(".weight")] += [
                    Part(place, member.weight, product) for product in products
                ]
        rank = composite.rank or max(found.rank for found in members)
        with LoraFolder(target, "F32", parts, self.base) as writer:
            try:
                for module in sorted(parts):
                    writer.add(module, *self._product(composite, module, parts[module], rank))
            except SetupError as error:
                writer.abandon()
                return rejected([Reason("not_finite", error.message)])
            writer.finish(next((found.base_model for found in members if found.base_model), None))
        return None

    def _product(
        self, composite: Composite, module: str, parts: Sequence[Part], rank: int
    ) -> tuple[Matrix, Matrix]:
        """Combined as PEFT stores the factors: some methods do not treat the two alike."""
        if not self.base.is_transposed(module):
            return _product(composite, module, parts, rank)
        stored = [replace(part, product=part.product.transposed) for part in parts]
        a, b = _product(composite, module, stored, rank)
        return b.T, a.T


def _no_product(found: AdapterUpdates) -> Reason | None:
    for name, updates in found.updates.items():
        if not name.endswith(".weight") or any(
            isinstance(update, Replaced | ReplacedRows) for update in updates
        ):
            return Reason(
                "member_format",
                f"it trains {quoted(name)} itself, which has no weighted sum with others'",
            )
        if any(not isinstance(update, LowRank) for update in updates):
            text = f"what {found.format} does is no product; make it one with `lorabay convert`"
            return Reason("member_format", text)
    return None


def _product(
    composite: Composite, module: str, parts: Sequence[Part], rank: int
) -> tuple[Matrix, Matrix]:
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # what is not finite is refused, not warned of
        try:
            return combine(composite, module, parts, rank)
        except np.linalg.LinAlgError as error:
            raise SetupError(f"the weighted sum on {quoted(module)} is not finite") from error


def _blaming(member: str, product: LowRank) -> LowRank:
    """The product, whose values name the member when they cannot be used."""

    def blamed(load: Load) -> Load:
        def values() -> Matrix:
            try:
                return load()
            except SetupError as error:
                raise SetupError(f"member {quoted(member)}: {error.message}") from error

        return values

    return replace(product, a=blamed(product.a), b=blamed(product.b))


def _misfits(composite: Composite, members: Sequence[AdapterUpdates]) -> Iterator[Reason]:
    """What each member is on its own, and all together are not."""
    bases = {bare_name(found.base_model): found.base_model for found in members if found.base_model}
    if len(bases) > 1:
        names = ", ".join(quoted(name) for name in bases.values())
        yield Reason("foreign_base", f"the members were trained on different bases: {names}")
    if composite.needs_equal_ranks and len({found.rank for found in members}) > 1:
        ranks = ", ".join(
            f"{m.adapter}: {f.rank}" for m, f in zip(composite.members, members, strict=True)
        )
        yield Reason(
            "rank", f"method {composite.method} needs members of one rank ({ranks}); use svd or cat"
        )
    elif composite.needs_equal_ranks:
        uneven = _uneven(members)
        if uneven:
            text = f"method {composite.method} needs members of one rank in each module; {quoted(uneven)} differs"
            yield Reason("rank", text)


def _uneven(members: Sequence[AdapterUpdates]) -> str | None:
    ranks: dict[str, int] = {}
    for found in members:
        for name, updates in found.updates.items():
            for update in updates:
                if (
                    isinstance(update, LowRank)
                    and ranks.setdefault(name, update.rank) != update.rank
                ):
                    return name.removesuffix(".weight")
    return None
