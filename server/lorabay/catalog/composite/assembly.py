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
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.catalog.composite.composite_file import (
    PARTS_AT_MOST,
    Composite,
    is_composite,
    member_folder,
    read_composite,
)
from lorabay.catalog.composite.member import Contents, Member, real_member, unfit
from lorabay.catalog.composite.nesting import Nesting
from lorabay.catalog.composite.weighted_sum import WeightedSum
from lorabay.files.adapter_folder import copy_adapter
from lorabay.files.folder_read import FolderRead
from lorabay.files.side_files import copy_side_files
from lorabay.formats.base_copies import Comparison
from lorabay.formats.reading import read_updates
from lorabay.formats.trainers.folder_contents import explained
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.files.adapter_folder import Limits


_NO_FOLDER = frozenset({"unreadable", "vanished", "link_outside"})
"""Reasons against a folder of which nothing can be read: its other files add nothing to them."""

_TOO_LARGE = Reason(
    "composite_size",
    f"the composite is made of more than {PARTS_AT_MOST} adapters, its members' among them",
)


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

    def take(
        self,
        folder: Path,
        target: Path,
        read: FolderRead | None = None,
        of_base: Callable[[], object] = lambda: None,
    ) -> Rejected | None:
        """Put the adapter of `folder` into the empty folder `target`; return None on success.

        A composite is built, any other adapter is copied. How the adapter is used is what its own
        folder says: the members' defaults are theirs. `of_base` is called if members lost copies of
        the base's tensors, so that the sum is right over these only. Raises OSError when writing
        fails, and Stopped when `read` is to end.
        """
        read = read or FolderRead()
        copies = target / "members"
        try:
            building = _Building(self, copies, read)
            taken = building.take(folder, target, Nesting())
            if building.is_of_base:
                of_base()
        finally:
            # The result is written from the copies; then they may go.
            shutil.rmtree(copies, ignore_errors=True)

        reasons: list[Reason] = []
        if isinstance(taken, Rejected):
            if taken.codes <= _NO_FOLDER:
                return taken
            reasons += taken.reasons
        reasons += copy_side_files(folder, target, roots=self.roots, read=read)
        return rejected(reasons) if reasons else None


class _Building:
    """One adapter in the making: the folders that were taken for it, each once.

    Private copies of the members lie below `copies`, numbered.
    """

    def __init__(self, assembly: Assembly, copies: Path, read: FolderRead) -> None:
        self._assembly = assembly
        self._copies = copies
        self._read = read
        self.is_of_base = False
        self._numbers = itertools.count()
        self._taken: dict[tuple[Path, int], Contents | Rejected] = {}
        """What became of each member, by its path without links and its depth.

        A composite that is too deep in one place may do in another.
        """

    def take(self, folder: Path, target: Path, nesting: Nesting) -> int | Rejected:
        """Copy or build one adapter; return the number of adapters that it is made of."""
        with self._read.waiting():
            is_built = is_composite(folder)
        if is_built:
            return self._build(folder, target, nesting)

        problem = self._copy(folder, target)
        return 1 if problem is None else problem

    def _copy(self, folder: Path, target: Path) -> Rejected | None:
        assembly = self._assembly
        problem = copy_adapter(
            folder, target, roots=assembly.roots, limits=assembly.limits, read=self._read
        )
        if problem is None:
            return None

        with self._read.waiting():
            return explained(folder, problem)

    def _build(self, folder: Path, target: Path, nesting: Nesting) -> int | Rejected:
        """Combine the members of a composite; return the number of adapters that it is made of."""
        assembly = self._assembly
        composite = read_composite(folder, assembly.limits, roots=assembly.roots, read=self._read)
        if isinstance(composite, Rejected):
            return composite

        # A folder that contains itself would be copied for ever.
        with self._read.waiting():
            real = folder.resolve()
        problem = nesting.problem(real)
        if problem is not None:
            return rejected([problem])

        members = self._members(composite, folder, nesting.inside(real))
        if isinstance(members, Rejected):
            return members
        adapters = sum(member.contents.adapters for member in members)
        if adapters > PARTS_AT_MOST:
            return rejected([_TOO_LARGE])

        total = WeightedSum(composite, members, assembly.base)
        misfits = list(total.misfits())
        if misfits:
            return rejected(misfits)
        refusal = total.write(target, self._read)
        return adapters if refusal is None else refusal

    def _members(
        self, composite: Composite, folder: Path, nesting: Nesting
    ) -> list[Member] | Rejected:
        """Take every member of the composite in `folder`, or return the problems of all of them."""
        members: list[Member] = []
        reasons: list[Reason] = []

        # Every member is read, so that one answer names all problems.
        for entry in composite.members:
            source = member_folder(folder, entry.adapter)
            contents = self._contents(source, nesting)
            if not isinstance(contents, Rejected):
                members.append(Member(entry.adapter, entry.weight, contents))
                continue

            member = f"member {quoted(entry.adapter)} in {str(source)!a}"
            for reason in contents.reasons:
                reasons.append(Reason(reason.code, f"{member}: {reason.text}"))

        return rejected(reasons) if reasons else members

    def _contents(self, source: Path, nesting: Nesting) -> Contents | Rejected:
        """Return what a member does; it is taken if this is the first time that it is named."""
        real = real_member(source, self._assembly.roots, self._read)
        if isinstance(real, Reason):
            return rejected([real])

        # A circle is told apart from a folder that is merely named again.
        circle = nesting.circle(real)
        if circle is not None:
            return rejected([circle])

        key = real, nesting.depth
        if key in self._taken:
            return self._taken[key]
        number = next(self._numbers)
        if number >= PARTS_AT_MOST:
            return rejected([_TOO_LARGE])
        self._taken[key] = self._take_member(source, self._copies / str(number), nesting)
        return self._taken[key]

    def _take_member(self, source: Path, copy: Path, nesting: Nesting) -> Contents | Rejected:
        # A private copy: the member's folder may change while others are read.
        copy.mkdir(parents=True)
        adapters = self.take(source, copy, nesting)
        if isinstance(adapters, Rejected):
            return adapters

        assembly = self._assembly
        updates = read_updates(
            copy,
            assembly.base,
            assembly.limits,
            trusted=assembly.trusted,
            # PEFT's copies of the base are no part of a weighted sum.
            comparison=Comparison(assembly.base, assembly.weights),
        )
        if isinstance(updates, Rejected):
            return updates

        self.is_of_base |= updates.of_base
        problem = unfit(updates)
        return Contents(updates, adapters) if problem is None else rejected([problem])
