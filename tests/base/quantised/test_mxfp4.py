"""MXFP4 is unpacked as transformers unpacks it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from lorabay.base.quantised.mxfp4 import mxfp4
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.files.safetensors_header import read_header

if TYPE_CHECKING:
    from pathlib import Path

BLOCKS = torch.arange(2 * 6 * 3 * 16).reshape(2, 6, 3, 16).to(torch.uint8)
SCALES = (torch.arange(2 * 6 * 3) % 9 + 119).reshape(2, 6, 3).to(torch.uint8)


def stored(folder: Path, **tensors: torch.Tensor) -> dict[str, Stored]:
    path = folder / "model.safetensors"
    save_file(tensors, path)
    with path.open("rb") as file:
        infos = read_header(file, max_bytes=1 << 20)
    assert isinstance(infos, tuple)
    return {
        info.name: Stored(
            info.name, path, info.dtype, info.shape, info.start, info.end - info.start
        )
        for info in infos
    }


def test_values_are_those_of_transformers(tmp_path: Path) -> None:
    """Every code, in every place of a block, for several powers of two."""
    tensors = stored(tmp_path, up_proj_blocks=BLOCKS, up_proj_scales=SCALES)
    (dense,) = mxfp4(tensors, {}).values()
    expected = convert_moe_packed_tensors(BLOCKS, SCALES, dtype=torch.float32)
    assert dense.shape == tuple(expected.shape) == (2, 96, 6)
    assert dense.parts == ("up_proj_blocks", "up_proj_scales")
    assert torch.equal(torch.from_numpy(dense.values()), expected)


@pytest.mark.parametrize("height", [1, 7, 96, 130, 192])
def test_rows_are_made_a_few_at_a_time(tmp_path: Path, height: int) -> None:
    """Also over the end of an expert: the whole tensor may be larger than memory."""
    tensors = stored(tmp_path, up_proj_blocks=BLOCKS, up_proj_scales=SCALES)
    (dense,) = mxfp4(tensors, {}).values()
    assert dense.rows is not None
    whole = dense.values().reshape(-1, 6)
    starts = range(0, len(whole), height)
    parts = [dense.rows(slice(first, min(first + height, len(whole)))) for first in starts]
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize(
    "tensors",
    [
        {"up_proj_blocks": BLOCKS},
        {"up_proj_blocks": BLOCKS, "up_proj_scales": SCALES[:, :-1].contiguous()},
        {"up_proj_blocks": BLOCKS[..., :8].contiguous(), "up_proj_scales": SCALES},
    ],
)
def test_another_layout_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Scales that are not there or not one a block, and blocks of another size."""
    with pytest.raises(SetupError, match="'up_proj_blocks' of shape"):
        mxfp4(stored(tmp_path, **tensors), {})
