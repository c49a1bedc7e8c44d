"""compressed-tensors and block-wise FP8 come out to the last bit, or are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.compressed import block_float8, compressed_tensors
from lorabay.base.quantised.dense import dense_tensors
from lorabay.base.tensors import Stored
from lorabay.errors import SetupError
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected
from tests.base.quantised.layouts import check_every_number, compressed, few_bits, int4
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


def stored(path: Path, tensors: dict[str, torch.Tensor]) -> dict[str, Stored]:
    """Write tensors into a file, and return them as a base has them."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    with path.open("rb") as file:
        infos = read_header(file, max_bytes=1 << 20)
    assert not isinstance(infos, Rejected)
    return {
        info.name: Stored(
            info.name, path, info.dtype, info.shape, info.start, info.end - info.start
        )
        for info in infos
    }


def scheme(**weights: Any) -> dict[str, object]:
    """Return a config with one group of modules."""
    group = {"targets": ["Linear"], "weights": weights}
    return {"format": "pack-quantized", "config_groups": {"g": group}}


@pytest.mark.parametrize("group_size", [192, 96, 64, 48, 36])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_group_may_have_any_size(tmp_path: Path, group_size: int, symmetric: bool) -> None:
    """Also one that is no power of two: the library's own decompression says the same."""
    arguments = {"num_bits": 4, "group_size": group_size, "symmetric": symmetric}
    make = compressed("pack-quantized", block=(1, group_size), strategy="group", **arguments)
    parts, expected = make(16, 576, 0)
    tensors = stored(tmp_path / "file", {f"a.{part}": tensor for part, tensor in parts.items()})
    dense = compressed_tensors(tensors, scheme(**arguments))
    np.testing.assert_allclose(dense["a.weight"].values(), expected.numpy(), rtol=2e-7, atol=0)


@pytest.mark.parametrize("written", [[24, 48], "24x48"])
def test_a_block_may_have_any_size(tmp_path: Path, written: object) -> None:
    """The config's form of it, a list or a text, is the library's."""
    settings = {"num_bits": 8, "type": "float", "block_structure": written}
    make = compressed("float-quantized", block=(24, 48), strategy="block", **settings)
    parts, expected = make(48, 576, 0)
    tensors = stored(tmp_path / "file", {f"a.{part}": tensor for part, tensor in parts.items()})
    config = few_bits("float-quantized", "float") | {
        "config_groups": {"g": {"targets": ["Linear"], "weights": settings}}
    }
    dense = compressed_tensors(tensors, config)
    np.testing.assert_allclose(dense["a.weight"].values(), expected.numpy(), rtol=2e-7, atol=0)


def test_a_group_size_that_does_not_explain_the_scales_is_refused(tmp_path: Path) -> None:
    """A config of another model is a refusal, not wrong weights."""
    make = compressed("pack-quantized", block=(1, 96), num_bits=4, strategy="group", group_size=96)
    parts, _ = make(16, 576, 0)
    tensors = stored(tmp_path / "file", {f"a.{part}": tensor for part, tensor in parts.items()})
    with pytest.raises(SetupError, match="16x6 scales of 'a'"):
        compressed_tensors(tensors, int4(group_size=192))


def test_the_group_that_names_a_module_has_its_size(tmp_path: Path) -> None:
    """Of two sizes that would both explain the scales, the one counts whose target it is."""
    make = compressed("pack-quantized", block=(1, 96), num_bits=4, strategy="group", group_size=96)
    parts, expected = make(16, 576, 0)
    tensors = stored(tmp_path / "file", {f"mlp.a.{part}": tensor for part, tensor in parts.items()})
    groups = {
        "others": {"targets": ["Linear"], "weights": {"num_bits": 4, "group_size": 100}},
        "named": {"targets": [r"re:.*\.a$"], "weights": {"num_bits": 4, "group_size": 96}},
    }
    dense = compressed_tensors(tensors, {"format": "pack-quantized", "config_groups": groups})
    np.testing.assert_allclose(dense["mlp.a.weight"].values(), expected.numpy(), rtol=2e-7, atol=0)


@pytest.mark.parametrize("settings", [{}, {"weight_block_size": [16, 16]}])
def test_block_float8_without_its_size_is_refused(
    tmp_path: Path, settings: dict[str, object]
) -> None:
    """48 outputs in three rows of blocks may be 16 each, and also 20: the config has to say it."""
    weight = torch.zeros(48, 40).to(torch.float8_e4m3fn)
    tensors = stored(
        tmp_path / "file", {"a.weight": weight, "a.weight_scale_inv": torch.ones(3, 2)}
    )
    with pytest.raises(SetupError, match="3x2 scales of 'a'"):
        block_float8(tensors, settings)
