"""A member of a composite: where it lies, what it does, and whether that can be summed.

A member changes weights by products of two factors only, of a module or of each expert: nothing
else has a weighted sum. A problem with its tensors is told with its name. Knows nothing of copies
or of the other members.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.errors import SetupError
from lorabay.files.real_paths import is_written_below
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from lorabay.algebra.updates import Load, Matrix, Update
    from lorabay.files.folder_read import FolderRead
    from lorabay.formats.reading import AdapterUpdates


@dataclass(frozen=True, slots=True)
class Contents:
    """What a folder does that is named as a member, and the number of adapters that it is made of.

    All its updates are products, which `unfit` has checked.
    """

    updates: AdapterUpdates
    adapters: int


@dataclass(frozen=True, slots=True)
class Member:
    """One entry of a composite file, with the contents of the folder that it names."""

    name: str
    weight: float
    contents: Contents

    @property
    def rank(self) -> int:
        """The largest rank of all modules."""
        return self.contents.updates.rank

    @property
    def base_model(self) -> str | None:
        """The base that the member was trained on, as its config names it."""
        return self.contents.updates.base_model

    def products(self) -> dict[str, list[LowRank]]:
        """Return the products of each module, whose read errors name the member."""
        by_module: dict[str, list[LowRank]] = {}
        for tensor, updates in self.contents.updates.updates.items():
            products: list[LowRank] = []
            for product in _products(updates):
                a, b = self._with_name(product.a), self._with_name(product.b)
                products.append(replace(product, a=a, b=b))
            if products:
                by_module[tensor.removesuffix(".weight")] = products
        return by_module

    def experts(self) -> dict[str, ExpertProducts]:
        """Return the update of each tensor that holds all experts of a layer, likewise."""
        by_tensor: dict[str, ExpertProducts] = {}
        for tensor, (update, *_) in self.contents.updates.updates.items():
            if isinstance(update, ExpertProducts):
                a, b = self._with_name(update.a), self._with_name(update.b)
                by_tensor[tensor] = replace(update, a=a, b=b)
        return by_tensor

    def ranks(self) -> Iterator[tuple[str, int]]:
        """Yield each tensor with the rank of an update of it."""
        for tensor, updates in self.contents.updates.updates.items():
            for update in updates:
                if isinstance(update, LowRank | ExpertProducts):
                    yield tensor, update.rank

    def _with_name(self, load: Load) -> Load:
        def values() -> Matrix:
            try:
                return load()
            except SetupError as error:
                raise SetupError(f"member {quoted(self.name)}: {error.message}") from error

        return values


def real_member(folder: Path, roots: tuple[Path, ...], read: FolderRead) -> Path | Reason:
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


def unfit(adapter: AdapterUpdates) -> Reason | None:
    """Return why an adapter has no weighted sum with others; None if it has one."""
    for tensor, updates in adapter.updates.items():
        match updates:
            case (ExpertProducts(),):
                continue

        if not tensor.endswith(".weight") or any(update.replaces for update in updates):
            text = f"it trains {quoted(tensor)} itself, which has no weighted sum with others'"
            return Reason("member_format", text)

        if len(_products(updates)) < len(updates):
            text = f"what {adapter.format} does is no product; make it one with `lorabay convert`"
            return Reason("member_format", text)
    return None


def _products(updates: Iterable[Update]) -> list[LowRank]:
    return [update for update in updates if isinstance(update, LowRank)]
