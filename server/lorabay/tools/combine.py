"""`lorabay combine`: writes a composite as one folder of plain LoRA, for PEFT and servers."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.composite.composite_file import (
    COMPOSITE_FILE,
    DEPTH_AT_MOST,
    Composite,
    is_composite,
    member_folder,
    read_composite,
)
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
    """A composite that was written as one adapter."""

    output: str
    method: str

    weights: dict[str, float]
    """Member -> its weight."""

    rank: int
    modules: int
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return asdict(self)

    def describe(self) -> str:
        """Return the report as one line."""
        members = ", ".join(f"{name} x {weight:g}" for name, weight in self.weights.items())
        return (
            f"{self.output}: {members} by {self.method}, rank {self.rank}, {self.modules} modules"
        )


def combine(
    composite: Path, base: Path, output: Path, *, roots: Iterable[Path] = ()
) -> Combination:
    """Write the adapter that the folder `composite` describes into `output`.

    Members may lie beside the composite or below `roots`. Raise SetupError with every reason; then
    nothing is written.
    """
    name = real_path(base).name
    files = BaseFiles.open(base)
    shapes = with_hidden_shapes(files, BaseShapes.of(files, names=(name,)))
    description = _description(composite)
    named = (composite.absolute().parent, *roots, composite)
    allowed = [form for root in named for form in (root.absolute(), real_path(root))]

    with new_folder(output, (base, *_sources(composite.absolute()))) as folder:
        assembly = Assembly(
            shapes, tuple(allowed), LIMITS, trusted=True, weights=BaseWeights.of(files)
        )
        problem = assembly.take(composite.absolute(), folder)
        if problem is not None:
            raise SetupError(f"{composite} cannot be combined: {problem.line}")

        # Read back: the report is about the adapter that was written.
        adapter = read_updates(folder, shapes, LIMITS)
        if not isinstance(adapter, AdapterUpdates):
            raise SetupError(f"{composite} cannot be combined: {adapter.line}")

        # Also what the composite's own folder says about its use, whole.
        ChosenAdapter.at(composite).copy_card(folder)
        return Combination(
            output=str(output),
            method=description.method,
            weights={member.adapter: member.weight for member in description.members},
            rank=adapter.rank,
            modules=len(adapter.updates),
            size_bytes=(folder / WEIGHTS_FILE).stat().st_size,
        )


def _description(folder: Path) -> Composite:
    """Read the composite in `folder`. Raise SetupError with every reason."""
    try:
        (folder / COMPOSITE_FILE).stat()
    except OSError as error:
        raise SetupError(f"{folder / COMPOSITE_FILE} cannot be read: {error.strerror}") from error

    if not is_composite(folder):
        raise SetupError(
            f"{folder} is an adapter with weights of its own; its {COMPOSITE_FILE} stands for "
            "nothing"
        )
    description = read_composite(folder)
    if isinstance(description, Rejected):
        raise SetupError(f"{folder} cannot be combined: {description.line}")
    return description


def _sources(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Yield the folders that a composite is read from: its own, its members', and theirs.

    Members that are missing are left out.
    """
    yield folder
    if depth >= DEPTH_AT_MOST or not is_composite(folder):
        return

    description = read_composite(folder)
    if isinstance(description, Composite):
        members = {member_folder(folder, member.adapter) for member in description.members}
        # Unlike Path.is_dir, this has no error for a name that is too long or in a closed folder.
        for member in filter(os.path.isdir, members):
            yield from _sources(member, depth + 1)
