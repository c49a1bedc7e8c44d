"""Adapters of random weights that fit a base: valid to every check, all different, written in a
moment.

Their answers are noise; checking, storing, loading and running them costs as much as for any
adapter of their size. Knows no server.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.catalog.admission import ALLOWED_RANKS, Checks, validate
from lorabay.catalog.versions import DIGEST_PREFIX
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.safetensors_header import ITEM_BYTES, TensorInfo, header_bytes
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes, Shape

TARGETS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
"""Linear modules of a layer, which adapters change."""
EVERY_MODULE = 1 << 62
"""A size, in bytes, that takes all linear modules of any base."""
POPULARITY_EXPONENT = 1.1
PUBLISHED = "swapped"
"""Name of the adapter whose versions a Publisher publishes."""


@dataclass(frozen=True, slots=True)
class RandomAdapters:
    """Adapters of one rank on the same modules of one base."""

    base: str
    rank: int
    modules: tuple[tuple[str, Shape], ...]
    dora: bool = False
    """True adds a vector of magnitudes to each module."""

    @classmethod
    def about(cls, base: BaseShapes, rank: int, size_bytes: int) -> RandomAdapters:
        """Return adapters on the first linear modules that make up `size_bytes`, or on all.

        Raises SetupError for a base without any.
        """
        modules: list[tuple[str, Shape]] = []
        size = 0
        for module, shape in linear_modules(base).items():
            # One module is the least, however small the size.
            if size >= size_bytes and modules:
                break
            modules.append((module, shape))
            size += ITEM_BYTES["BF16"] * rank * sum(shape)

        if not modules:
            raise SetupError(
                f"bench: the base has none of the modules {', '.join(sorted(TARGETS))}"
            )
        return cls(base.names[0], rank, tuple(modules))

    @property
    def size_bytes(self) -> int:
        """Bytes of one adapter's weights."""
        return sum(tensor.end - tensor.start for tensor in self._tensors())

    def write(self, folder: Path, seed: int) -> None:
        """Make `folder` with the adapter of this seed; raises FileExistsError if it is there."""
        bits = np.frombuffer(np.random.default_rng(seed).bytes(self.size_bytes), np.uint16)
        # Random signs and digits around a fixed exponent: bfloat16 numbers of a size from 1/128 to
        # 1/64.
        values = (bits & 0x807F) | 0x3C00
        if self.dora:
            # Magnitudes are lengths, so none may be negative.
            values &= 0x7FFF

        folder.mkdir(parents=True)
        with (folder / WEIGHTS_FILE).open("wb") as file:
            file.write(header_bytes(self._tensors()))
            file.write(values.data)
        (folder / CONFIG_FILE).write_text(json.dumps(self._config()) + "\n")

    def _tensors(self) -> Iterator[TensorInfo]:
        start = 0
        for name, shape in self._names():
            end = start + ITEM_BYTES["BF16"] * int(np.prod(shape))
            yield TensorInfo(name, "BF16", shape, start, end)
            start = end

    def _names(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        for module, (outputs, inputs) in self.modules:
            yield f"{PREFIX}{module}.lora_A.weight", (self.rank, inputs)
            yield f"{PREFIX}{module}.lora_B.weight", (outputs, self.rank)
            if self.dora:
                yield f"{PREFIX}{module}.lora_magnitude_vector", (outputs,)

    def _config(self) -> dict[str, object]:
        return {
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": self.base,
            "r": self.rank,
            "lora_alpha": self.rank,
            "use_dora": self.dora,
            "target_modules": [module for module, _ in self.modules],
        }


@dataclass(frozen=True, slots=True)
class Draft:
    """A version that is not published yet; `version` is its name on the server."""

    folder: Path
    version: str


@dataclass(frozen=True, slots=True)
class Publisher:
    """A careful user who publishes ever new versions of one adapter: made elsewhere, then renamed
    into the adapter directory below `root`. Former versions lie beside that directory.
    """

    root: Path
    kind: RandomAdapters
    base: BaseShapes

    @property
    def adapters(self) -> Path:
        """The adapter directory."""
        return self.root / "adapters"

    def draft(self, number: int) -> Draft:
        """Make version `number`; each number makes other weights.

        The draft is checked as the server will check it, which also yields its digest. Raises
        SetupError if the adapter does not fit the base.
        """
        folder = self.root / "drafts" / str(number)
        self.kind.write(folder, number)

        spec = validate(folder, Checks(self.base, ALLOWED_RANKS[-1]))
        if isinstance(spec, Rejected):
            raise SetupError(
                f"bench: a random adapter does not fit this base: {spec.reasons[0].text}"
            )
        return Draft(folder, spec.digest[:DIGEST_PREFIX])

    def publish(self, draft: Draft) -> None:
        """Rename the present version away and the draft into its place."""
        self.adapters.mkdir(exist_ok=True)
        place = self.adapters / PUBLISHED

        # A folder cannot be renamed onto another one that is not empty. Between the two renames the
        # adapter is missing, as it is for any user who publishes like this.
        if place.exists():
            former = self.root / "former"
            former.mkdir(exist_ok=True)
            place.rename(former / draft.folder.name)
        draft.folder.rename(place)


def linear_modules(base: BaseShapes) -> dict[str, Shape]:
    """Return the modules of a base that adapters change, with their shapes, in the base's order."""
    return {
        module: shape
        for module, shape in base.shapes.items()
        if shape is not None and module.rpartition(".")[2] in TARGETS
    }


def draw_names(names: Sequence[str], count: int, seed: int) -> tuple[str, ...]:
    """Draw `count` names by popularity: the k-th name about 1 / k^1.1 as often as the first (Zipf).

    The same seed draws the same names.
    """
    weights = [1 / place**POPULARITY_EXPONENT for place in range(1, len(names) + 1)]
    return tuple(random.Random(seed).choices(names, weights, k=count))
