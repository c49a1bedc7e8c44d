"""Builds the one adapter that a composite folder describes, from private copies of its members.

Members are copied as they are at one moment, from inside the allowed roots only. They may be
composites themselves; a folder that contains itself is refused. The result is plain LoRA as PEFT
writes it. Every problem of a member is a reason with its name. Knows nothing of the store.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.combination import Method, Part, combine
from lorabay.algebra.updates import LowRank
from lorabay.catalog.composite import (
    DEPTH_AT_MOST,
    Composite,
    is_composite,
    member_folder,
    read_composite,
)
from lorabay.catalog.names import bare_name
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Limits, copy_adapter
from lorabay.formats.base_layer_copies import without_copies
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.writer import LoraFolder
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from lorabay.algebra.updates import Load, Matrix
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights


@dataclass(frozen=True, slots=True)
class Assembly:
    """Builds adapters for one base.

    Members may lie below `roots` only and may be as large as `limits` allow. `trusted` says that
    regular expressions in their configs may be evaluated. `weights` are compared with a member's
    copies of the base's embeddings; without them only shapes are.
    """

    base: BaseShapes
    roots: tuple[Path, ...]
    limits: Limits
    trusted: bool = False
    weights: BaseWeights | None = None

    def take(self, folder: Path, target: Path, within: tuple[Path, ...] = ()) -> Rejected | None:
        """Put the adapter of `folder` into the empty folder `target`; return None on success.

        A composite is built, any other adapter is copied. `within` are the composites around this
        folder. Raises OSError when writing fails.
        """
        if not is_composite(folder):
            return copy_adapter(folder, target, roots=self.roots, limits=self.limits)
        composite = read_composite(folder, self.limits, roots=self.roots)
        if isinstance(composite, Rejected):
            return composite
        # A folder that contains itself would be copied for ever.
        nested = _nesting_problem(folder.resolve(), within)
        if nested is not None:
            return rejected([nested])

        members = self._members(composite, folder, target, (*within, folder.resolve()))
        if isinstance(members, Rejected):
            return members
        misfits = tuple(_misfits(composite, members))
        if misfits:
            return rejected(misfits)

        # The writer reads the copies until the last factor; then they may go.
        problem = self._build(composite, members, target)
        for index in range(len(members)):
            shutil.rmtree(_copy_of(index, target))
        return problem

    def _members(
        self, composite: Composite, folder: Path, target: Path, within: tuple[Path, ...]
    ) -> list[_Member] | Rejected:
        """Copy and read every member, or return the problems of all of them."""
        members: list[_Member] = []
        reasons: list[Reason] = []

        # Every member is read, so that one answer names all problems.
        for index, entry in enumerate(composite.members):
            source = member_folder(folder, entry.adapter)
            updates = self._member(source, _copy_of(index, target), within)

            if isinstance(updates, Rejected):
                member = f"member {quoted(entry.adapter)} in {str(source)!a}"
                reasons += [
                    Reason(reason.code, f"{member}: {reason.text}") for reason in updates.reasons
                ]
            else:
                products = {name: _products(parts) for name, parts in updates.updates.items()}
                members.append(_Member(entry.adapter, entry.weight, updates, products))
        return rejected(reasons) if reasons else members

    def _member(
        self, source: Path, target: Path, within: tuple[Path, ...]
    ) -> AdapterUpdates | Rejected:
        """Copy one member into `target` and return what it does, all of it products."""
        missing = self._missing(source)
        if missing is not None:
            return rejected([missing])
        # A private copy: the member's folder may change while others are read.
        target.mkdir()
        problem = self.take(source, target, within)
        if problem is not None:
            return problem

        updates = read_updates(target, self.base, self.limits, trusted=self.trusted)
        if isinstance(updates, Rejected):
            return updates
        # PEFT's copies of the base are no part of a weighted sum.
        own = without_copies(updates.updates, self.base, self.weights)
        if isinstance(own, Rejected):
            return own
        updates = replace(updates, updates=own)
        unfit = _unfit(updates)
        return rejected([unfit]) if unfit else updates

    def _missing(self, folder: Path) -> Reason | None:
        """Return why a member's folder may not be used, if so."""
        try:
            real = folder.resolve()
            if not any(real.is_relative_to(root) for root in self.roots):
                text = "it lies outside the adapter directory and the allowed roots"
                return Reason("link_outside", text)
            is_there = real.is_dir()
        except (OSError, ValueError, RuntimeError):
            # The path is too long, has a NUL byte, or is a link to itself.
            is_there = False
        return None if is_there else Reason("member_missing", "there is no such folder")

    def _build(
        self, composite: Composite, members: Sequence[_Member], target: Path
    ) -> Rejected | None:
        """Write the combined adapter into `target`."""
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for index, member in enumerate(members):
            for name, products in member.products.items():
                module = name.removesuffix(".weight")
                parts[module] += [
                    Part(index, member.weight, member.blamed(product)) for product in products
                ]

        rank = composite.rank or max(member.updates.rank for member in members)
        with LoraFolder(target, "F32", parts, self.base) as writer:
            try:
                for module in sorted(parts):
                    a, b = self._combined(composite.how, module, parts[module], rank)
                    writer.add(module, a, b)
            except SetupError as error:
                writer.abandon()
                return rejected([Reason("not_finite", error.message)])
            bases = (member.updates.base_model for member in members)
            writer.finish(next(filter(None, bases), None))
        return None

    def _combined(
        self, method: Method, module: str, parts: Sequence[Part], rank: int
    ) -> tuple[Matrix, Matrix]:
        """Return A and B of the combined update of one module."""
        if not self.base.is_transposed(module):
            return _combine(method, module, parts, rank)
        # Some methods treat A and B differently, and mean the factors that PEFT stores.
        stored = [replace(part, product=part.product.transposed) for part in parts]
        a, b = _combine(method, module, stored, rank)
        return b.T, a.T


@dataclass(frozen=True, slots=True)
class _Member:
    """A member that was read; `products` maps tensor names to its updates, all of them products."""

    name: str
    weight: float
    updates: AdapterUpdates
    products: Mapping[str, tuple[LowRank, ...]]

    def blamed(self, product: LowRank) -> LowRank:
        """Return `product`, wrapped so that its read errors name the member."""
        return replace(product, a=self._blamed(product.a), b=self._blamed(product.b))

    def _blamed(self, load: Load) -> Load:
        def values() -> Matrix:
            try:
                return load()
            except SetupError as error:
                raise SetupError(f"member {quoted(self.name)}: {error.message}") from error

        return values


def _copy_of(index: int, target: Path) -> Path:
    """Return the folder for the private copy of a member while `target` is built."""
    return target / f"member{index}"


def _products(updates: Sequence[object]) -> tuple[LowRank, ...]:
    return tuple(update for update in updates if isinstance(update, LowRank))


def _nesting_problem(folder: Path, within: tuple[Path, ...]) -> Reason | None:
    if folder in within:
        chain = (*within[within.index(folder) :], folder)
        names = " -> ".join(path.name for path in chain)
        return Reason("composite_cycle", f"the composite contains itself: {names}")
    if len(within) >= DEPTH_AT_MOST:
        return Reason("composite_depth", f"composites are more than {DEPTH_AT_MOST} deep")
    return None


def _unfit(member: AdapterUpdates) -> Reason | None:
    """Return why an adapter has no weighted sum with others, if so."""
    for name, updates in member.updates.items():
        if not name.endswith(".weight") or any(update.replaces for update in updates):
            text = f"it trains {quoted(name)} itself, which has no weighted sum with others'"
            return Reason("member_format", text)
        if len(_products(updates)) < len(updates):
            text = f"what {member.format} does is no product; make it one with `lorabay convert`"
            return Reason("member_format", text)
    return None


def _combine(
    method: Method, module: str, parts: Sequence[Part], rank: int
) -> tuple[Matrix, Matrix]:
    # Values that are not finite are refused by the writer, without a warning of NumPy's.
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            return combine(method, module, parts, rank)
        except np.linalg.LinAlgError as error:
            raise SetupError(f"the weighted sum on {quoted(module)} is not finite") from error


def _misfits(composite: Composite, members: Sequence[_Member]) -> Iterator[Reason]:
    """Return the problems that only the combination has: bases and ranks."""
    names = [member.updates.base_model for member in members]
    bases = {bare_name(name): name for name in names if name}
    if len(bases) > 1:
        listed = ", ".join(quoted(name) for name in bases.values())
        yield Reason("foreign_base", f"the members were trained on different bases: {listed}")

    if not composite.needs_equal_ranks:
        return
    needs = f"method {composite.method} needs members of one rank"
    uneven = _uneven(members)
    if len({member.updates.rank for member in members}) > 1:
        ranks = ", ".join(f"{member.name}: {member.updates.rank}" for member in members)
        yield Reason("rank", f"{needs} ({ranks}); use svd or cat")
    elif uneven is not None:
        yield Reason("rank", f"{needs} in each module; {quoted(uneven)} differs")


def _uneven(members: Sequence[_Member]) -> str | None:
    """Return a module in which two members have different ranks, if there is one."""
    ranks: dict[str, int] = {}
    for member in members:
        for name, products in member.products.items():
            for product in products:
                if ranks.setdefault(name, product.rank) != product.rank:
                    return name.removesuffix(".weight")
    return None
