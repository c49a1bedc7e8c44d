"""GPTQ and AWQ come out to the last bit, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import dense_tensors
from lorabay.base.quantised.packed_integers import awq, gptq, unpack
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from tests.base.quantised.layouts import check_every_number, quantise
from tests.merge.bases import make_base


@pytest.mark.parametrize("kind", ["gptq", "awq"])
def test_every_number_comes_out(tmp_path: Path, kind: str) -> None:
    """Each weight is what the layout defines, in float32; nothing of the packing is left."""
    check_every_number(tmp_path / "base", kind)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_words_hold_their_lowest_bits_first(bits: int) -> None:
    """Numbers that are packed by shifting come back in their order."""
    numbers = np.arange(2 * 32 // bits) % (1 << bits)
    shifts = np.arange(32 // bits) * bits
    words = (numbers.reshape(2, -1) << shifts).sum(-1).astype(np.uint32).view(np.int32)
    assert unpack(words[None], bits).tolist() == [numbers.tolist()]


def test_the_second_version_of_gptq_stores_zero_points_as_they_are(tmp_path: Path) -> None:
    """The same bits mean a weight that is one scale larger than in the first version."""
    base = make_base(tmp_path / "base", files=1, dtype="F16")
    quantise(base, "gptq")
    tensors = BaseFiles.open_whole(base).tensors
    one = gptq(tensors, {"bits": 4})
    two = gptq(tensors, {"bits": 4, "checkpoint_format": "gptq_v2"})
    name = "model.layers.0.self_attn.q_proj.weight"
    assert (two[name].values() >= one[name].values()).mean() > 0.9
    assert not np.array_equal(two[name].values(), one[name].values())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"quant_method": "gptq", "bits": 3}, "GPTQ with 3 bits"),
        ({"quant_method": "awq", "version": "gemv"}, "version 'gemv'"),
    ],
)
def test_unknown_layouts_are_refused(
    tmp_path: Path, settings: dict[str, object], text: str
) -> None:
    """The message names what the config says."""
    make_base(tmp_path / "base", quantization_config=settings)
    with pytest.raises(SetupError, match=text):
        dense_tensors(BaseFiles.open_whole(tmp_path / "base"))


@pytest.mark.parametrize("method", [gptq, awq])
def test_a_module_that_lacks_a_part_is_refused(tmp_path: Path, method: object) -> None:
    """The message names the module and the parts."""
    stored = Stored("a.qweight", tmp_path / "file", "I32", (4, 4), 0, 64)
    assert callable(method)
    with pytest.raises(SetupError, match="'a' lacks qzeros, scales"):
        method({"a.qweight": stored}, {})
