"""Builds a composite adapter into one folder of plain LoRA that PEFT and a server read."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.composite import (
    COMPOSITE_FILE,
    DEPTH_AT_MOST,
    Composite,
    is_composite,
    member_folder,
    read_composite,
)
from lorabay.catalog.composite_build import Assembly
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.files.durable import new_folder
from lorabay.files.real_paths import real_path
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import LIMITS, ChosenAdapter

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Combination:
    """What was written: `weights` are those of the members by name."""

    output: str
    method: str
    weights: dict[str, float]
    rank: int
    modules: int
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON values."""
        return asdict(self)

    def describe(self) -> str:
        """Say it in one line."""
        members = ", ".join(f"{name} x {weight:g}" for name, weight in self.weights.items())
        return (
            f"{self.output}: {members} by {self.method}, rank {self.rank}, {self.modules} modules"
        )


def combine(
    composite: Path, base: Path, output: Path, *, roots: Iterable[Path] = ()
) -> Combination:
    """Write the adapter that the folder `composite` stands for into `output`.

    Members may lie beside the composite or below `roots`. Raises SetupError with every reason; then
    nothing is written.
    """
    files = BaseFiles.open(base)
    shapes = BaseShapes.of(files, names=(real_path(base).name,))
    recipe = _recipe(composite)
    allowed = tuple(real_path(root) for root in (composite.absolute().parent, *roots))
    with new_folder(output, (base, *_sources(composite.absolute()))) as folder:
        members = (*allowed, real_path(composite))
        assembly = Assembly(shapes, members, LIMITS, trusted=True, weights=BaseWeights.of(files))
        problem = assembly.take(composite.absolute(), folder)
        if problem is not None:
            raise SetupError(f"{composite} cannot be combined: {problem.line}")
        found = read_updates(folder, shapes, LIMITS)
        if not isinstance(found, AdapterUpdates):
            raise SetupError(f"{composite} cannot be combined: {found.line}")
        ChosenAdapter.at(composite).copy_card(folder)
        return Combination(
            output=str(output),
            method=recipe.method,
            weights={member.adapter: member.weight for member in recipe.members},
            rank=found.rank,
            modules=len(found.updates),
            size_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        )


def _recipe(folder: Path) -> Composite:
    try:
        (folder / COMPOSITE_FILE).stat()
    except OSError as error:
        raise SetupError(f"{folder / COMPOSITE_FILE} cannot be read: {error.strerror}") from error
    if not is_composite(folder):
        raise SetupError(
            f"{folder} is an adapter with weights of its own; its {COMPOSITE_FILE} stands for nothing"
        )
    recipe = read_composite(folder)
    if isinstance(recipe, Rejected):
        raise SetupError(f"{folder} cannot be combined: {recipe.line}")
    return recipe


def _sources(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The folder and those of its members that are there, and of theirs, as deep as composites may
    be.
    """
    yield folder
    if depth >= DEPTH_AT_MOST or not is_composite(folder):
        return
    recipe = read_composite(folder)
    if isinstance(recipe, Composite):
        places = {member_folder(folder, member.adapter) for member in recipe.members}
        for place in filter(os.path.isdir, places):
            yield from _sources(place, depth + 1)
