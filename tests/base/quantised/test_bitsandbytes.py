"""bitsandbytes in 4 and 8 bits comes out to the last bit, or is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.bitsandbytes import bitsandbytes
from lorabay.errors import SetupError
from tests import making
from tests.base.quantised.layouts import check_every_number


@pytest.mark.parametrize("kind", ["bitsandbytes 4", "bitsandbytes 8"])
def test_every_number_comes_out(tmp_path: Path, kind: str) -> None:
    """Each weight is what the layout defines, in float32; nothing of the packing is left."""
    check_every_number(tmp_path / "base", kind)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (b"{", "cannot be read"),
        (b"[]", "cannot be read"),
        (json.dumps({"blocksize": 64, "shape": None}).encode(), "no block size or no shape"),
    ],
)
def test_a_weight_without_a_usable_state_is_refused(
    tmp_path: Path, state: bytes, text: str
) -> None:
    """The message names the weight."""
    base = making.make_base(tmp_path / "base")
    tensors = making.load(base / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight.quant_state.bitsandbytes__nf4"
    tensors[name] = making.Stored("U8", (len(state),), np.frombuffer(state, np.uint8).tobytes())
    making.save(base / "model.safetensors", tensors)
    with pytest.raises(SetupError, match=text):
        bitsandbytes(BaseFiles.open_whole(base).tensors, {})
