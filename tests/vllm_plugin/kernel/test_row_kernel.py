"""The compiled kernel itself; its results are compared with the mathematics in
test_apply_lora.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding
import pytest
import torch

from lorabay.vllm_plugin.apply_lora import RowKernel, add_update
from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.kernel import row_kernel
from lorabay.vllm_plugin.kernel.row_kernel import use_one_thread
from lorabay.vllm_plugin.module_slots import ModuleWeights
from tests.vllm_plugin.updates import filled_slots, random_weights, reference

MATHEMATICS = Path(__file__).parents[1] / "test_apply_lora.py"

FEATURES = llvmlite.binding.get_host_cpu_features()
WIDE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not any(has and feature.startswith(name) for feature, has in FEATURES.items()),
            reason=f"this processor has no {name} either, so that {MATHEMATICS.name} is this test",
        ),
    )
    for name in ("avx512bf16", "avx512")
]


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [[0], [0, 1, 0, 0, 1, 0, 0], [-1, 2, 2]])
def test_any_number_of_threads_shares_the_work(threads: int, rows: list[int]) -> None:
    """Also more threads than there is work for."""
    weights = [
        ModuleWeights.lay_out(*random_weights(9, [130, 3], rank, rank), torch.float32)
        for rank in (1, 5, 2)
    ]
    x, y = torch.randn(len(rows), 9), torch.randn(len(rows), 133)
    expected = reference(y, x, [130, 3], weights, rows)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        slots = filled_slots(9, [130, 3], weights, torch.float32)
        add_update(y, x, slots, BatchRows(torch.tensor(rows).numpy()), RowKernel())
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)


def test_without_torchs_threads_matmuls_do_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once, at the start; the result is the same."""
    monkeypatch.setattr(row_kernel, "is_available", lambda: False)
    row_kernel.get_ready(torch.float32)
    assert "libgomp" in caplog.text
    weights = [ModuleWeights.lay_out(*random_weights(9, [6], 2, 1), torch.float32)]
    x, y = torch.randn(2, 9), torch.randn(2, 6)
    expected = reference(y, x, [6], weights, [0, -1])
    slots = filled_slots(9, [6], weights, torch.float32)
    monkeypatch.setattr(row_kernel, "compiled", None)
    add_update(y, x, slots, BatchRows(torch.tensor([0, -1]).numpy()), RowKernel())
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_type_without_a_kernel_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody should wonder why float16 is slower."""
    row_kernel.get_ready(torch.float16)
    assert "float16" in caplog.text


@pytest.mark.parametrize("without", WIDE)
def test_a_processor_without_these_instructions_gets_the_same_results(
    without: str, tmp_path: Path
) -> None:
    """bfloat16 without products of its own, and vectors half as long."""
    kept = {name: has and not name.startswith(without) for name, has in FEATURES.items()}
    restricted = ",".join(f"{'+' if has else '-'}{name}" for name, has in kept.items())
    env = os.environ | {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": restricted,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    every = "every_row_gets_its_own or many_rows"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        str(MATHEMATICS),
        "-k",
        every,
    ]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_result_that_is_not_a_number_stays_one() -> None:
    """Rounding to bfloat16 must not turn NaN into a number or an infinity."""
    weights = [ModuleWeights.lay_out(*random_weights(4, [6], 2, 1), torch.bfloat16)]
    x, y = torch.full((1, 4), float("nan")).bfloat16(), torch.zeros(1, 6).bfloat16()
    slots = filled_slots(4, [6], weights, torch.bfloat16)
    add_update(y, x, slots, BatchRows(torch.tensor([0]).numpy()), RowKernel())
    assert y.isnan().all()


def test_one_thread_is_a_matter_of_the_calling_thread() -> None:
    """The staging thread restricts itself, not the engine."""
    from concurrent.futures import ThreadPoolExecutor

    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=use_one_thread) as pool:
        pool.submit(torch.randn, 8).result(10)
    assert torch.get_num_threads() == before
