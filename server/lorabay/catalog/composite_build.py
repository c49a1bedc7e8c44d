"""Builds the one adapter that a composite folder describes, from private copies of its members.

Members are copied as they are at one moment, from inside the allowed roots only. They may be
composites themselves; a folder that contains itself is refused. A folder that is named more than
once is copied, or built, once, and the whole has a bound: a few small files cannot make work for
hours. The result is plain LoRA as PEFT writes it. Every problem of a member is a reason with its
name. Knows nothing of the store.
"""

from __future__ import annotations

import itertools
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.combination import ExpertPart, Part, combine, combine_experts
from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.catalog.composite import (
    DEPTH_AT_MOST,
    PARTS_AT_MOST,
    Composite,
    is_composite,
    member_folder,
    read_composite,
)
from lorabay.catalog.names import bare_name
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Limits, copy_adapter
from lorabay.files.folder_read import FolderRead, Stopped
from lorabay.files.real_paths import is_written_below
from lorabay.files.side_files import copy_side_files
from lorabay.formats.base_copies import Comparison
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.formats.trainers.folder_contents import explained
from lorabay.formats.writer import LoraFolder
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.algebra.updates import Load, Matrix
    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights


_NO_FOLDER = frozenset({"unreadable", "vanished", "link_outside"})
"""Reasons against a folder of which nothing can be read: its other files add nothing to them."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Builds adapters for one base.

    Members may lie below `roots` only, which are absolute, and may be as large as `limits` allow.
    `trusted` says that regular expressions in their configs may be evaluated. `weights` are
    compared with a member's copies of the base's embeddings; without them only shapes are.
    """

    base: BaseShapes
    roots: tuple[Path, ...]
    limits: Limits
    trusted: bool = False
    weights: BaseWeights | None = None

    def take(self, folder: Path, target: Path, read: FolderRead | None = None) -> Rejected | None:
        """Put the adapter of `folder` into the empty folder `target`; return None on success.

        A composite is built, any other adapter is copied. How the adapter is used is what its own
        folder says: the members' defaults are theirs. Raises OSError when writing fails, and
        Stopped when `read` is to end.
        """
        members = target / "members"
        read = read or FolderRead()
        work = _Work(self, read, members)
        try:
            taken = _take(work, folder, target, within=())
        finally:
            # The result is written from the copies; then they may go.
            shutil.rmtree(members, ignore_errors=True)

        problems = tuple(copy_side_files(folder, target, roots=self.roots, read=read))
        if isinstance(taken, Rejected):
            return taken if taken.codes <= _NO_FOLDER else rejected([*taken.reasons, *problems])
        return rejected(problems) if problems else None


@dataclass(frozen=True, slots=True)
class _Work:
    """One adapter in the making: the folders that were taken for it, each once.

    `members` is where their private copies lie, numbered. `taken` holds what became of each, by its
    path without links and the number of composites around it: what is too deep in one place may do
    in another.
    """

    assembly: Assembly
    read: FolderRead
    members: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)
    taken: dict[tuple[Path, int], _Taken | Rejected] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A member that was copied or built: its private folder, what it does, and of how many adapters
    it is made.
    """

    copy: Path
    updates: AdapterUpdates
    parts: int


def _take(work: _Work, folder: Path, target: Path, *, within: tuple[Path, ...]) -> int | Rejected:
    """Copy or build one adapter; return of how many adapters it is made.

    `within` are the composites around it, the outermost first.
    """
    assembly, read = work.assembly, work.read
    with read.waiting():
        is_built = is_composite(folder)
    if not is_built:
        problem = copy_adapter(
            folder, target, roots=assembly.roots, limits=assembly.limits, read=read
        )
        if problem is None:
            return 1
        with read.waiting():
            return explained(folder, problem)

    composite = read_composite(folder, assembly.limits, roots=assembly.roots, read=read)
    if isinstance(composite, Rejected):
        return composite

    # A folder that contains itself would be copied for ever.
    with read.waiting():
        real = folder.resolve()
    nested = _nesting_problem(real, within)
    if nested is not None:
        return rejected([nested])

    return _Build(work, composite, folder, target, (*within, real)).run()


@dataclass(frozen=True, slots=True)
class _Build:
    """One composite on its way to an adapter: its members are taken, read, and combined.

    `folder` describes it, `target` takes the result, and `within` ends with this composite.
    """

    work: _Work
    composite: Composite
    folder: Path
    target: Path
    within: tuple[Path, ...]

    @property
    def assembly(self) -> Assembly:
        return self.work.assembly

    def run(self) -> int | Rejected:
        """Write the combined adapter; return of how many adapters it is made."""
        members = self._read_members()
        if isinstance(members, Rejected):
            return members

        parts = sum(member.parts for member in members)
        if parts > PARTS_AT_MOST:
            return rejected([_too_large()])

        misfits = tuple(_misfits(self.composite, members))
        if misfits:
            return rejected(misfits)
        return self._write(members) or parts

    def _read_members(self) -> list[_Member] | Rejected:
        """Take and read every member, or return the problems of all of them."""
        members: list[_Member] = []
        reasons: list[Reason] = []

        # Every member is read, so that one answer names all problems.
        for entry in self.composite.members:
            source = member_folder(self.folder, entry.adapter)
            taken = self._member(source)

            if isinstance(taken, Rejected):
                member = f"member {quoted(entry.adapter)} in {str(source)!a}"
                reasons += [
                    Reason(reason.code, f"{member}: {reason.text}") for reason in taken.reasons
                ]
            else:
                members.append(_Member(entry.adapter, entry.weight, taken.updates, taken.parts))
        return rejected(reasons) if reasons else members

    def _member(self, source: Path) -> _Taken | Rejected:
        """Return one member, which is taken if this is the first time that it is named."""
        found = _real_member(source, self.assembly.roots, self.work.read)
        if isinstance(found, Reason):
            return rejected([found])

        # A circle is told apart from a folder that is merely named again.
        if found in self.within:
            return rejected(filter(None, [_nesting_problem(found, self.within)]))

        key = found, len(self.within)
        if key not in self.work.taken:
            number = next(self.work.numbers)
            if number >= PARTS_AT_MOST:
                return rejected([_too_large()])
            copy = self.work.members / str(number)
            self.work.taken[key] = self._take_member(source, copy)
        return self.work.taken[key]

    def _take_member(self, source: Path, copy: Path) -> _Taken | Rejected:
        """Copy or build one member, and return what the copy does, all of it products."""
        # A private copy: the member's folder may change while others are read.
        copy.mkdir(parents=True)
        parts = _take(self.work, source, copy, within=self.within)
        if isinstance(parts, Rejected):
            return parts

        base, limits = self.assembly.base, self.assembly.limits
        # PEFT's copies of the base are no part of a weighted sum.
        comparison = Comparison(base, self.assembly.weights)
        updates = read_updates(
            copy, base, limits, trusted=self.assembly.trusted, comparison=comparison
        )
        if isinstance(updates, Rejected):
            return updates

        unfit = _unfit(updates)
        return rejected([unfit]) if unfit else _Taken(copy, updates, parts)

    def _write(self, members: Sequence[_Member]) -> Rejected | None:
        """Combine the members module by module, into `target`."""
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        experts: defaultdict[str, list[ExpertPart]] = defaultdict(list)
        for index, member in enumerate(members):
            for module, products in member.products().items():
                parts[module] += [Part(index, member.weight, product) for product in products]
            for tensor, update in member.experts().items():
                experts[tensor].append(ExpertPart(index, member.weight, update))

        rank = self.composite.rank or max(member.updates.rank for member in members)
        with LoraFolder(self.target, "F32", parts, self.assembly.base, experts) as writer:
            try:
                for module in sorted(parts):
                    self.work.read.step()
                    a, b = self._combine(module, parts[module], rank)
                    writer.add(module, a, b)
                for tensor in sorted(experts):
                    self.work.read.step()
                    with _only_finite(tensor):
                        a, b = combine_experts(self.composite.how, tensor, experts[tensor], rank)
                    writer.add_experts(tensor, a, b)
            except SetupError as error:
                writer.abandon()
                return rejected([Reason("not_finite", error.message)])
            except Stopped:
                writer.abandon()
                raise

            bases = (member.updates.base_model for member in members)
            writer.finish(next(filter(None, bases), None))
        return None

    def _combine(self, module: str, parts: Sequence[Part], rank: int) -> tuple[Matrix, Matrix]:
        """Return A and B of the combined update of one module."""
        with _only_finite(module):
            if not self.assembly.base.is_transposed(module):
                return combine(self.composite.how, module, parts, rank)

            # Some methods treat A and B differently, and mean the factors that PEFT stores.
            stored = [replace(part, product=part.product.transposed) for part in parts]
            a, b = combine(self.composite.how, module, stored, rank)
            return b.T, a.T


@dataclass(frozen=True, slots=True)
class _Member:
    """A member that was read from its private copy; all its updates are products."""

    name: str
    weight: float
    updates: AdapterUpdates
    parts: int

    def products(self) -> dict[str, list[LowRank]]:
        """Return the updates of each module, whose read errors name the member."""
        return {
            name.removesuffix(".weight"): [
                replace(product, a=self._blamed(product.a), b=self._blamed(product.b))
                for product in _products(updates)
            ]
            for name, updates in self.updates.updates.items()
            if _products(updates)
        }

    def experts(self) -> dict[str, ExpertProducts]:
        """Return the update of each tensor that holds all experts of a layer, likewise."""
        return {
            name: replace(update, a=self._blamed(update.a), b=self._blamed(update.b))
            for name, (update, *_) in self.updates.updates.items()
            if isinstance(update, ExpertProducts)
        }

    def _blamed(self, load: Load) -> Load:
        def values() -> Matrix:
            try:
                return load()
            except SetupError as error:
                raise SetupError(f"member {quoted(self.name)}: {error.message}") from error

        return values


def _products(updates: Sequence[object]) -> list[LowRank]:
    return [update for update in updates if isinstance(update, LowRank)]


def _real_member(folder: Path, roots: tuple[Path, ...], read: FolderRead) -> Path | Reason:
    """Return a member's folder without links, or why it may not be used."""
    outside = Reason("link_outside", "it lies outside the adapter directory and the allowed roots")
    missing = Reason("member_missing", "there is no such folder")
    try:
        # Before anything there is touched.
        if not is_written_below(folder, roots):
            return outside
        with read.waiting():
            real = folder.resolve()
            is_there = real.is_dir()
    except (OSError, ValueError, RuntimeError):
        # The path is too long, has a NUL byte, or is a link to itself.
        return missing

    if not any(real.is_relative_to(root) for root in roots):
        return outside
    return real if is_there else missing


def _too_large() -> Reason:
    text = f"the composite is made of more than {PARTS_AT_MOST} adapters, its members' among them"
    return Reason("composite_size", text)


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
        match updates:
            case (ExpertProducts(),):
                continue
        if not name.endswith(".weight") or any(update.replaces for update in updates):
            text = f"it trains {quoted(name)} itself, which has no weighted sum with others'"
            return Reason("member_format", text)
        if len(_products(updates)) < len(updates):
            text = f"what {member.format} does is no product; make it one with `lorabay convert`"
            return Reason("member_format", text)
    return None


@contextmanager
def _only_finite(name: str) -> Iterator[None]:
    """Raise SetupError within the block if there is no sum.

    Values that are not finite are refused by the writer, so NumPy need not warn of them.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        try:
            yield
        except np.linalg.LinAlgError as error:
            raise SetupError(f"the weighted sum on {quoted(name)} is not finite") from error


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
        for name, updates in member.updates.updates.items():
            for update in updates:
                if not isinstance(update, LowRank | ExpertProducts):
                    continue
                if ranks.setdefault(name, update.rank) != update.rank:
                    return name.removesuffix(".weight")
    return None
