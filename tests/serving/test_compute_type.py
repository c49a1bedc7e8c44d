"""The type in which an engine computes on this or that processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorabay.base.files import BaseFiles
from lorabay.base.weights import BaseWeights
from lorabay.serving.compute_type import (
    FLOAT32,
    MEMORY_SHARE,
    choose_compute_type,
    processor_features,
    slice_tokens,
)

GIB = 1 << 30
AVX2 = "fpu sse2 avx f16c fma avx2"
AVX512 = f"{AVX2} avx512f avx512dq avx512bw avx512vl"


@pytest.fixture(scope="module")
def weights(tiny_base: Path) -> BaseWeights:
    return BaseWeights.of(BaseFiles.open(tiny_base))


@pytest.mark.parametrize(
    ("name", "features", "chosen"),
    [
        ("Sandy Bridge, avx", "fpu sse2 avx", None),
        ("Haswell to Raptor Lake, Zen 1 to 3: avx2", AVX2, FLOAT32),
        ("Skylake-X: avx512f", AVX512, FLOAT32),
        ("Ice Lake: avx512_vnni", f"{AVX512} avx512_vnni", FLOAT32),
        ("Cooper Lake, Zen 4: avx512_bf16", f"{AVX512} avx512_vnni avx512_bf16", None),
        ("Sapphire Rapids: amx", f"{AVX512} avx512_bf16 amx_bf16 amx_tile", None),
        ("Graviton 2, without bf16", "fp asimd atomics asimdhp asimddp", FLOAT32),
        ("Graviton 3, with bf16", "fp asimd asimdhp sve i8mm bf16", None),
        ("RISC-V, unknown", "", None),
    ],
)
def test_the_type_is_what_the_processor_multiplies_fast(
    weights: BaseWeights, name: str, features: str, chosen: str | None
) -> None:
    """bfloat16 where it has instructions for that, which vLLM takes by itself; else float32."""
    choice = choose_compute_type(frozenset(features.split()), weights.tensors.values(), 100 * GIB)
    assert choice.name == chosen, name
    assert choice.reason


def test_the_weights_do_not_double_where_memory_is_short(weights: BaseWeights) -> None:
    """A base that would take more than its share stays as it is, and the reason says what it
    would take; each copy counts.
    """
    features = frozenset(AVX2.split())
    stored = list(weights.tensors.values())
    needed = sum(4 * int(np.prod(tensor.shape)) for tensor in stored)
    enough = int(needed / MEMORY_SHARE)

    assert choose_compute_type(features, stored, enough + 1).name == FLOAT32
    refused = choose_compute_type(features, stored, enough - 1000)
    assert refused.name is None
    assert "MiB" in refused.reason
    assert choose_compute_type(features, stored, enough + 1, copies=2).name is None


def test_a_quantised_base_is_left_to_vllm(tmp_path: Path, tiny_base: Path) -> None:
    """Its kernels know one type each."""
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_bytes((tiny_base / "config.json").read_bytes())
    packed = {"model.layers.0.mlp.up_proj.qweight": np.zeros((4, 4), np.int32)}
    save_file(packed, folder / "model.safetensors")

    stored = BaseWeights.of(BaseFiles.open(folder)).tensors.values()
    assert choose_compute_type(frozenset(AVX2.split()), stored, 100 * GIB).name is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "processor\t: 0\nflags\t\t: fpu avx2\n\nprocessor\t: 1\nflags\t\t: fpu\n",
            {"fpu", "avx2"},
        ),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", {"fp", "asimd", "bf16"}),
        ("isa\t: rv64imafdc\n", set()),
    ],
)
def test_features_are_read_as_linux_writes_them(
    tmp_path: Path, text: str, expected: set[str]
) -> None:
    """On x86 and on AArch64; other systems have none."""
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert processor_features(file) == expected
    assert processor_features(tmp_path / "none") == frozenset()


def test_a_small_base_reads_longer_slices() -> None:
    """There a step is mostly the engine's own work; a large one reads what was measured."""
    features = frozenset(AVX2.split())
    assert slice_tokens(features, "auto") == 32
    assert slice_tokens(features, "auto", 8_000_000_000) == 32
    assert slice_tokens(features, "auto", 106_000_000) == 32
    assert slice_tokens(features, "auto", 30_000_000) == 42
    assert slice_tokens(features, "auto", 1_060_000) == 428
