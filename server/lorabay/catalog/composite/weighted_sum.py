"""The weighted sum of a composite's members, written as plain LoRA one module at a time.

Says first whether the members fit one another. Knows nothing of where they lie.
"""

from __future__ import annotations

from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.combination import ExpertPart, Part, combine, combine_experts
from lorabay.catalog.names import bare_name
from lorabay.errors import SetupError
from lorabay.files.folder_read import Stopped
from lorabay.formats.writer import LoraFolder
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lorabay.algebra.updates import Matrix
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.composite.composite_file import Composite
    from lorabay.catalog.composite.member import Member
    from lorabay.files.folder_read import FolderRead


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """The sum that `composite` describes of `members`, which are in the order of its file."""

    composite: Composite
    members: Sequence[Member]
    base: BaseShapes

    def misfits(self) -> Iterator[Reason]:
        """Yield the problems that only the members together have: bases and ranks."""
        bases: dict[str, str] = {}
        for member in self.members:
            if member.base_model:
                bases[bare_name(member.base_model)] = member.base_model
        if len(bases) > 1:
            listed = ", ".join(quoted(name) for name in bases.values())
            yield Reason("foreign_base", f"the members were trained on different bases: {listed}")

        if self.composite.needs_equal_ranks:
            yield from self._unequal_ranks()

    def _unequal_ranks(self) -> Iterator[Reason]:
        needs = f"method {self.composite.method} needs members of one rank"

        ranks = {member.rank for member in self.members}
        if len(ranks) > 1:
            listed = ", ".join(f"{member.name}: {member.rank}" for member in self.members)
            yield Reason("rank", f"{needs} ({listed}); use svd or cat")
            return

        module = self._uneven_module()
        if module is not None:
            yield Reason("rank", f"{needs} in each module; {quoted(module)} differs")

    def _uneven_module(self) -> str | None:
        """Return a module in which two products have different ranks, if there is one."""
        ranks: dict[str, int] = {}
        for member in self.members:
            for tensor, rank in member.ranks():
                if ranks.setdefault(tensor, rank) != rank:
                    return tensor.removesuffix(".weight")
        return None

    def write(self, target: Path, read: FolderRead) -> Rejected | None:
        """Write the sum into the empty folder `target`; return why there is none, if so.

        Raises OSError when writing fails, and Stopped when `read` is to end.
        """
        parts, experts = self._parts(), self._expert_parts()
        with LoraFolder(target, "F32", parts, self.base, experts) as writer:
            try:
                for module in sorted(parts):
                    read.step()
                    a, b = self._factors(module, parts[module])
                    writer.add(module, a, b)
                for tensor in sorted(experts):
                    read.step()
                    a, b = self._expert_factors(tensor, experts[tensor])
                    writer.add_experts(tensor, a, b)
            except SetupError as error:
                writer.abandon()
                return rejected([Reason("not_finite", error.message)])
            except Stopped:
                writer.abandon()
                raise

            writer.finish(self._base_model())
        return None

    def _parts(self) -> dict[str, list[Part]]:
        """Return the products of each module, with the weights of their members."""
        parts: defaultdict[str, list[Part]] = defaultdict(list)
        for index, member in enumerate(self.members):
            for module, products in member.products().items():
                for product in products:
                    parts[module].append(Part(index, member.weight, product))
        return parts

    def _expert_parts(self) -> dict[str, list[ExpertPart]]:
        """Return the same of each tensor that holds all experts of a layer."""
        parts: defaultdict[str, list[ExpertPart]] = defaultdict(list)
        for index, member in enumerate(self.members):
            for tensor, update in member.experts().items():
                parts[tensor].append(ExpertPart(index, member.weight, update))
        return parts

    def _base_model(self) -> str | None:
        """Return the base of the first member that names one."""
        for member in self.members:
            if member.base_model:
                return member.base_model
        return None

    def _factors(self, module: str, parts: Sequence[Part]) -> tuple[Matrix, Matrix]:
        """Return A and B of the sum on one module; raise SetupError if there is none."""
        method = self.composite.how
        with _only_finite(module):
            if not self.base.is_transposed(module):
                return combine(method, module, parts, self._rank)

            # Some methods treat A and B differently, and mean the factors that PEFT stores.
            stored = [replace(part, product=part.product.transposed) for part in parts]
            a, b = combine(method, module, stored, self._rank)
            return b.T, a.T

    def _expert_factors(self, tensor: str, parts: Sequence[ExpertPart]) -> tuple[Matrix, Matrix]:
        """Return A and B of the sum on all experts of a tensor; raise SetupError likewise."""
        with _only_finite(tensor):
            return combine_experts(self.composite.how, tensor, parts, self._rank)

    @property
    def _rank(self) -> int:
        """The rank of the sum, for methods that do not make it themselves."""
        return self.composite.rank or max(member.rank for member in self.members)


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
