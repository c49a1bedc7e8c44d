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
    from collections.abc import Iterator, Sequence
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

    def take(self, folder: Path, target: Path) -> Rejected | None:
        """Put the adapter of `folder` into the empty folder `target`; return None on success.

        A composite is built, any other adapter is copied. Raises OSError when writing fails.
        """
        return _take(self, folder, target, within=())


def _take(
    assembly: Assembly, folder: Path, target: Path, *, within: tuple[Path, ...]
) -> Rejected | None:
    """Copy or build one adapter; `within` are the composites around it, the outermost first."""
    if not is_composite(folder):
        return copy_adapter(folder, target, roots=assembly.roots, limits=assembly.limits)

    composite = read_composite(folder, assembly.limits, roots=assembly.roots)
    if isinstance(composite, Rejected):
        return composite

    # A folder that contains itself would be copied for ever.
    real = folder.resolve()
    nested = _nesting_problem(real, within)
    if nested is not None:
        return rejected([nested])

    return _Build(assembly, composite, folder, target, (*within, real)).run()


@dataclass(frozen=True, slots=True)
class _Build:
    """One composite on its way to an adapter: its members are copied, read, and combined.

    `folder` describes it. `target` takes the result, and beside it the members' copies while they
    are needed. `within` ends with this composite.
    """

    assembly: Assembly
    composite: Composite
    folder: Path
    target: Path
    within: tuple[Path, ...]

    def run(self) -> Rejected | None:
        """Write the combined adapter; return None on success."""
        members = self._read_members()
        if isinstance(members, Rejected):
            return members

        misfits = tuple(_misfits(self.composite, members))
        if misfits:
            return rejected(misfits)

        # The writer reads the copies until the last factor; then they may go.
        problem = self._write(members)
        for member in members:
            shutil.rmtree(member.copy)
        return problem

    def _read_members(self) -> list[_Member] | Rejected:
        """Copy and read every member, or return the problems of all of them."""
        members: list[_Member] = []
        reasons: list[Reason] = []

        # Every member is read, so that one answer names all problems.
        for index, entry in enumerate(self.composite.members):
            source = member_folder(self.folder, entry.adapter)
            copy = self.target / f"member{index}"
            updates = self._read_member(source, copy)

            if isinstance(updates, Rejected):
                member = f"member {quoted(entry.adapter)} in {str(source)!a}"
                reasons += [
                    Reason(reason.code, f"{member}: {reason.text}") for reason in updates.reasons
                ]
            else:
                members.append(_Member(entry.adapter, entry.weight, copy, updates))
        return rejected(reasons) if reasons else members

    def _read_member(self, source: Path, copy: Path) -> AdapterUpdates | Rejected:
        """Copy one member, and return what the copy does, all of it products."""
        missing = _missing(source, self.assembly.roots)
        if missing is not None:
            return rejected([missing])

        # A private copy: the member's folder may change while others are read.
        copy.mkdir()
        problem = _take(self.assembly, source, copy, within=self.within)
        if problem is not None:
            return problem

        base, limits = self.assembly.base, self.assembly.limits
        updates = read_updates(copy, base, limits, trusted=self.assembly.trusted)
        if isinstance(updates, Rejected):
            return updates

        # PEFT's copies of the base are no part of a weighted sum.
        own = without_copies(updates.updates, base, self.assembly.weights)
        if isinstance(own, Rejected):
            return own

        updates = replace(updates, updates=own)
        unfit = _unfit(updates)
        return rejected([unfit]) if unfit else updates

    def _write(self, members: Sequence[_Member]) -> Rejected | None:
        """Combine the members module by module, into `target`."""
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for index, member in enumerate(members):
            for module, products in member.products().items():
                parts[module] += [Part(index, member.weight, product) for product in products]

        rank = self.composite.rank or max(member.updates.rank for member in members)
        with LoraFolder(self.target, "F32", parts, self.assembly.base) as writer:
            try:
                for module in sorted(parts):
                    a, b = self._combine(module, parts[module], rank)
                    writer.add(module, a, b)
            except SetupError as error:
                writer.abandon()
                return rejected([Reason("not_finite", error.message)])

            bases = (member.updates.base_model for member in members)
            writer.finish(next(filter(None, bases), None))
        return None

    def _combine(self, module: str, parts: Sequence[Part], rank: int) -> tuple[Matrix, Matrix]:
        """Return A and B of the combined update of one module."""
        if not self.assembly.base.is_transposed(module):
            return _combine_finite(self.composite.how, module, parts, rank)

        # Some methods treat A and B differently, and mean the factors that PEFT stores.
        stored = [replace(part, product=part.product.transposed) for part in parts]
        a, b = _combine_finite(self.composite.how, module, stored, rank)
        return b.T, a.T


@dataclass(frozen=True, slots=True)
class _Member:
    """A member that was read from its private copy; all its updates are products."""

    name: str
    weight: float
    copy: Path
    updates: AdapterUpdates

    def products(self) -> dict[str, list[LowRank]]:
        """Return the updates of each module, whose read errors name the member."""
        return {
            name.removesuffix(".weight"): [self._blamed(update) for update in _products(updates)]
            for name, updates in self.updates.updates.items()
        }

    def _blamed(self, product: LowRank) -> LowRank:
        return replace(product, a=self._blamed_load(product.a), b=self._blamed_load(product.b))

    def _blamed_load(self, load: Load) -> Load:
        def values() -> Matrix:
            try:
                return load()
            except SetupError as error:
                raise SetupError(f"member {quoted(self.name)}: {error.message}") from error

        return values


def _products(updates: Sequence[object]) -> list[LowRank]:
    return [update for update in updates if isinstance(update, LowRank)]


def _missing(folder: Path, roots: tuple[Path, ...]) -> Reason | None:
    """Return why a member's folder may not be used, if so."""
    try:
        real = folder.resolve()
        if not any(real.is_relative_to(root) for root in roots):
            text = "it lies outside the adapter directory and the allowed roots"
            return Reason("link_outside", text)
        is_there = real.is_dir()
    except (OSError, ValueError, RuntimeError):
        # The path is too long, has a NUL byte, or is a link to itself.
        is_there = False
    return None if is_there else Reason("member_missing", "there is no such folder")


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


def _combine_finite(
    method: Method, module: str, parts: Sequence[Part], rank: int
) -> tuple[Matrix, Matrix]:
    """Return A and B; raise SetupError if there are none.

    Values that are not finite are refused by the writer, so NumPy need not warn of them.
    """
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
        for module, products in member.products().items():
            for product in products:
                if ranks.setdefault(module, product.rank) != product.rank:
                    return module
    return None
