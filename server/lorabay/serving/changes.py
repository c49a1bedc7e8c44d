"""How much a version changes each module of the base, and how much two versions differ.

Measured when somebody asks, from the files of the store, and remembered: a version never changes.
A change is a product B A of small factors, which is measured without being built. What DoRA does to
whole outputs is beside that, and is told as such. Knows nothing of HTTP.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lorabay.errors import AdapterConflict, SetupError
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from lorabay.tools.inspection.modules import in_order, place_of
from lorabay.tools.inspection.norms import change_norm, distance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.base.shapes import BaseShapes
    from lorabay.base.weights import BaseWeights
    from lorabay.catalog.versions import Digest, Version

REMEMBERED = 100
"""Answers that are remembered; the one that was asked for longest ago goes first."""


@dataclass(frozen=True, slots=True)
class ModuleChange:
    """How much one module is changed: Frobenius norms, in the unit of the weights.

    `norm` is ||s B A|| of the version, and `distance` that of the difference of two; each is 0
    where a version leaves the module as it is. `layer` is None outside of layers.
    """

    layer: int | None
    module: str
    norm: float
    distance: float | None


class Changes:
    """The changes of the versions of one base."""

    def __init__(self, shapes: BaseShapes, weights: BaseWeights) -> None:
        self._shapes = shapes
        self._weights = weights
        self._known: OrderedDict[tuple[Digest, Digest | None], list[dict[str, Any]]] = OrderedDict()
        self._one = asyncio.Lock()

    async def measured(self, version: Version, other: Version | None = None) -> dict[str, Any]:
        """Return the change of each module, and how far that of another version is from it.

        Raises AdapterConflict for a whole model, and SetupError if the store cannot be read.
        """
        pair = (version, *(() if other is None else (other,)))
        for one in pair:
            if one.spec.is_model:
                raise AdapterConflict(f"{one.id} is a whole model: it changes every module")

        key = (version.spec.weights, None if other is None else other.spec.weights)
        # One at a time: a large adapter takes seconds of a core, which tokens want as well.
        async with self._one:
            modules = self._known.get(key)
            if modules is None:
                modules = await asyncio.to_thread(self._measure, pair)
                self._known[key] = modules
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return {
            "version": version.id,
            "other": None if other is None else other.id,
            "scales_outputs": any((one.path / SCALES_FILE).exists() for one in pair),
            "modules": modules,
        }

    def _measure(self, versions: tuple[Version, ...]) -> list[dict[str, Any]]:
        read = [self._read(version) for version in versions]
        return [asdict(change) for change in self._changes(*read)]

    def _read(self, version: Version) -> AdapterUpdates:
        updates = read_updates(version.path, self._shapes, trusted=False)
        if isinstance(updates, Rejected):
            raise SetupError(f"{version.path} cannot be read: {updates.line}")
        return updates

    def _changes(
        self, one: AdapterUpdates, other: AdapterUpdates | None = None
    ) -> Iterator[ModuleChange]:
        others = {} if other is None else other.updates
        for name in in_order({*one.updates, *others}):
            mine = one.updates.get(name)
            norm = 0.0 if mine is None else change_norm(mine, self._weights, name) or 0.0
            apart = None if other is None else self._apart(name, one, other, norm)
            layer, module = place_of(name)
            yield ModuleChange(layer, module, norm, apart)

    def _apart(self, name: str, one: AdapterUpdates, other: AdapterUpdates, norm: float) -> float:
        """Return the distance of two changes, of which one may not be there."""
        mine, theirs = one.updates.get(name), other.updates.get(name)
        if theirs is None:
            return norm
        if mine is None:
            return change_norm(theirs, self._weights, name) or 0.0
        return distance(mine, theirs, self._weights, name) or 0.0
