"""compressed-tensors and block-wise FP8 come out to the last bit, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.compressed import block_float8, compressed_tensors
from lorabay.base.quantised.dense import dense_tensors
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from tests.base.quantised.layouts import check_every_number
from tests.merge.bases import make_base


@pytest.mark.parametrize(
    "kind", ["packed", "packed with zero points", "int8", "float8", "float8 by block"]
)
def test_every_number_comes_out(tmp_path: Path, kind: str) -> None:
    """Each weight is what the layout defines, in float32; nothing of the packing is left."""
    check_every_number(tmp_path / "base", kind)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    """The message names the format."""
    settings = {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}
    make_base(tmp_path / "base", quantization_config=settings)
    with pytest.raises(SetupError, match="nvfp4-pack-quantized"):
        dense_tensors(BaseFiles.open_whole(tmp_path / "base"))


def test_small_numbers_without_a_scale_are_refused(tmp_path: Path) -> None:
    """The message names the weight, in either layout."""
    stored = Stored("a.weight", tmp_path / "file", "F8_E4M3", (4, 4), 0, 16)
    with pytest.raises(SetupError, match="'a' has no weight_scale"):
        compressed_tensors({"a.weight": stored}, {"format": "float-quantized"})
    with pytest.raises(SetupError, match=r"'a\.weight' has no scale"):
        block_float8({"a.weight": stored}, {})
