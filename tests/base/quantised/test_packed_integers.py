"""GPTQ and AWQ come out to the last bit, or are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.quantised import packed_integers
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


@pytest.mark.parametrize("method", [gptq, awq])
def test_the_size_of_a_group_is_the_configs(method: object) -> None:
    """20 inputs in groups of 8 have three scales, of which the last is for four inputs; another
    size than the config's is refused.
    """
    assert callable(method)
    is_awq = method is awq
    words = {"qweight": (20, 1) if is_awq else (3, 8), "qzeros": (3, 1), "scales": (3, 8)}
    tensors = {
        f"a.{part}": Stored(f"a.{part}", Path("file"), "I32", shape, 0, 0)
        for part, shape in words.items()
    }
    dense = method(tensors, {"bits": 4, "group_size": 8})
    assert dense["a.weight"].shape == ((8, 20) if is_awq else (8, 24))
    with pytest.raises(SetupError, match="8x3 scales of 'a'"):
        method(tensors, {"bits": 4, "group_size": 16})
    with pytest.raises(SetupError, match="8x3 scales of 'a'"):
        method(tensors, {"bits": 4, "group_size": -1})


def test_a_last_group_may_be_cut_off() -> None:
    """Twenty inputs in groups of eight: the last four have the third scale."""
    words = np.zeros((20, 1), np.int32)
    parts = {
        "qweight": _Numbers(words),
        "qzeros": _Numbers(np.full((3, 1), 0x11111111, np.int32)),
        "scales": _Numbers(np.array([[1.0] * 8, [2.0] * 8, [3.0] * 8], np.float32)),
    }
    dense = packed_integers._load_awq(parts, 8)  # type: ignore[arg-type]
    assert dense[0].tolist() == [-1.0] * 8 + [-2.0] * 8 + [-3.0] * 4


class _Numbers:
    """A stored tensor whose numbers are at hand."""

    def __init__(self, numbers: np.ndarray) -> None:
        self._numbers = numbers

    def values(self) -> np.ndarray:
        return self._numbers
