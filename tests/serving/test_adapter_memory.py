"""What adapters and slots cost, by hand-made files and shapes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lorabay.serving.adapter_memory import (
    SlotCost,
    largest_host_bytes,
    number_bytes,
    slot_cost,
)
from tests import making
from tests.versions import make_version

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.versions import Version


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, 2),
        ({"dtype": "auto"}, 2),
        ({"dtype": "float32"}, 4),
        ({"dtype": "float"}, 4),
        ({"dtype": "float32", "lora_dtype": "bfloat16"}, 2),
        ({"dtype": "half"}, 2),
    ],
)
def test_the_engines_type_decides_the_size_of_a_number(options: dict[str, str], size: int) -> None:
    """An adapter's file may be in another type."""
    assert number_bytes(options) == size


def version_in(folder: Path, **lengths: int) -> Version:
    """A version whose weights file holds float32 tensors of these lengths."""
    folder.mkdir()
    tensors = {
        name: making.stored(np.zeros((1, length), np.float32)) for name, length in lengths.items()
    }
    making.save(folder / "adapter_model.safetensors", tensors)
    size = (folder / "adapter_model.safetensors").stat().st_size
    return replace(make_version("a", size_bytes=size), path=folder)


def test_an_adapter_takes_what_its_values_take_in_the_engine(tmp_path: Path) -> None:
    """Not what its file has: this one is in float32 and served in two bytes a number."""
    version = version_in(tmp_path / "a", x=1000, y=24)
    assert largest_host_bytes([version], 2, pinned=False) == 2048
    assert largest_host_bytes([version], 4, pinned=False) == 4096


def test_pinned_tensors_fill_blocks_of_powers_of_two(tmp_path: Path) -> None:
    """Each by itself, as torch's allocator does it: 448 KiB become 512."""
    version = version_in(tmp_path / "a", x=448 * 512, y=512)
    assert largest_host_bytes([version], 2, pinned=True) == (512 << 10) + 1024


def test_the_largest_decides(tmp_path: Path) -> None:
    versions = [version_in(tmp_path / str(length), x=length) for length in (10, 100, 50)]
    assert largest_host_bytes(versions, 2, pinned=False) == 200
    assert largest_host_bytes([], 2, pinned=False) == 0


def test_a_file_that_cannot_be_read_counts_double(tmp_path: Path) -> None:
    """A passing fault of a disk must not let too many adapters in."""
    version = replace(make_version("a", size_bytes=500), path=tmp_path / "nowhere")
    assert largest_host_bytes([version], 2, pinned=True) == 1000
    (tmp_path / "adapter_model.safetensors").write_bytes(b"no header")
    broken = replace(version, path=tmp_path)
    assert largest_host_bytes([broken], 2, pinned=True) == 1000


def test_a_slot_has_room_for_the_rank_on_every_module(shapes: BaseShapes) -> None:
    """All layers and the head, by their inputs and outputs; only some, if the engine adapts only
    these.
    """
    layers = sum(sum(shape) for shape in making.MODULES.values())
    embeddings = 2 * (making.VOCABULARY + making.HIDDEN)
    assert slot_cost(shapes, 8, 16, 2, None) == SlotCost(8, 16, 8 * 16 * 2 * (layers + embeddings))
    queries = making.LAYERS * 2 * making.HIDDEN
    assert slot_cost(shapes, 1, 16, 2, ["q_proj"]).total_bytes == 16 * 2 * queries


def test_experts_in_one_tensor_have_room_each(shapes: BaseShapes) -> None:
    """vLLM's slots hold factors for every expert, however the base stores them."""
    stacked = {"model.layers.0.mlp.experts.gate_up_proj": (8, 64, 16)}
    with_experts = replace(shapes, tensors=dict(shapes.tensors) | stacked)
    before = slot_cost(shapes, 2, 16, 2, None).total_bytes
    after = slot_cost(with_experts, 2, 16, 2, None).total_bytes
    assert after - before == 2 * 16 * 2 * 8 * (64 + 16)
    assert slot_cost(with_experts, 2, 16, 2, ["q_proj"]).total_bytes < before
