"""Files of tuned kernels, as vLLM reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lorabay.bench.tuning.kernel_files import SLICES, file_name, write_files
from lorabay.bench.tuning.search import Tuned, usual
from lorabay.bench.tuning.shapes import Layer, Product, products_of
from lorabay.errors import SetupError
from tests.vllm_files import triton_ops

DEVICE = "NVIDIA H100 80GB HBM3-X"


def tuned(product: Product, **changes: int) -> Tuned:
    return Tuned(product, {**usual(product), **changes}, 1.0, 2.0, 3)


def lookup(
    monkeypatch: pytest.MonkeyPatch, folder: Path, product: Product, slices: int
) -> dict[str, Any]:
    """What vLLM's own function finds for a launch."""
    utils = triton_ops("utils")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: DEVICE)
    monkeypatch.setenv("VLLM_TUNED_CONFIG_FOLDER", str(folder))
    utils.load_lora_op_config.cache_clear()
    is_shrink = product.operation == "shrink"
    found: dict[str, Any] = utils.get_lora_op_configs.__wrapped__(
        product.operation,
        max_loras=product.groups,
        batch=product.rows,
        hidden_size=product.k if is_shrink else product.n,
        rank=product.n if is_shrink else product.k,
        num_slices=slices,
        add_inputs=None if is_shrink else True,
    )
    utils.load_lora_op_config.cache_clear()
    return found


def test_vllm_finds_what_was_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each launch its own configuration, by vLLM's own look-up."""
    products = products_of([Layer(2, 2048, 8192), Layer(1, 8192, 2048)], groups=9)
    results = [tuned(product, num_warps=index) for index, product in enumerate(products)]
    files = write_files(tmp_path / "kernels", DEVICE, results)
    assert [path.name for path in files] == [
        "NVIDIA_H100_80GB_HBM3_X_EXPAND_TRUE.json",
        "NVIDIA_H100_80GB_HBM3_X_SHRINK.json",
    ]
    for result in results:
        product = result.product
        found = lookup(monkeypatch, tmp_path / "kernels", product, product.slices)
        assert found == result.configuration


@pytest.mark.parametrize("slices", SLICES)
def test_every_number_of_slices_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slices: int
) -> None:
    """vLLM ends where its own is missing; others are those of the nearest."""
    product = Product("shrink", 9, 2, 16, 2048, 64)
    write_files(tmp_path, DEVICE, [tuned(product, num_warps=7)])
    assert lookup(monkeypatch, tmp_path, product, slices)["num_warps"] == 7


def test_a_file_is_completed(tmp_path: Path) -> None:
    """By another base, or another number of slots."""
    first, second = (Product("expand", groups, 1, 16, 64, 2048) for groups in (9, 17))
    write_files(tmp_path, DEVICE, [tuned(first)])
    (path,) = write_files(tmp_path, DEVICE, [tuned(second)])
    assert json.loads(path.read_bytes()).keys() == {"9", "17"}


@pytest.mark.parametrize("content", ["[]", "no json"])
def test_another_file_of_that_name_stays(tmp_path: Path, content: str) -> None:
    """It is not what it would be taken for."""
    path = tmp_path / f"{file_name(DEVICE)}_SHRINK.json"
    path.write_text(content)
    with pytest.raises(SetupError, match="no file of tuned kernels"):
        write_files(tmp_path, DEVICE, [tuned(Product("shrink", 9, 2, 16, 2048, 64))])
    assert path.read_text() == content


def test_a_folder_that_cannot_be_made_is_an_expected_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"):
        write_files(tmp_path / "file", DEVICE, [tuned(Product("shrink", 9, 2, 16, 64, 64))])
