"""The compiled kernel itself; its results are compared with the mathematics in test_update.py."""

from __future__ import annotations

import pytest
import torch

from lorabay.vllm_plugin import row_kernel
from lorabay.vllm_plugin.batch_rows import BatchRows
from lorabay.vllm_plugin.module_slots import ModuleWeights
from lorabay.vllm_plugin.row_kernel import use_one_thread
from lorabay.vllm_plugin.update import RowKernel, add_update
from tests.vllm_plugin.updates import filled_slots, random_weights, reference


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [[0], [0, 1, 0, 0, 1, 0, 0], [-1, 2, 2]])
def test_any_number_of_threads_shares_the_work(threads: int, rows: list[int]) -> None:
    """Also more threads than there is work for."""
    weights = [ModuleWeights.lay_out(*random_weights(9, [130, 3], rank, rank), torch.float32) for rank in (1, 5, 2)]
    x, y = torch.randn(len(rows), 9), torch.randn(len(rows), 133)
    expected = reference(y, x, [130, 3], weights, rows)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        slots = filled_slots(9, [130, 3], weights, torch.float32)
        add_update(y, x, slots, BatchRows.group(torch.tensor(rows).numpy()), RowKernel())
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)


def test_without_torchs_threads_matmuls_do_the_work(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says so once, at the start; the result is the same."""
    monkeypatch.setattr(row_kernel, "is_available", lambda: False)
    row_kernel.get_ready(bfloat16=False)
    assert "libgomp" in caplog.text
    weights = [ModuleWeights.lay_out(*random_weights(9, [6], 2, 1), torch.float32)]
    x, y = torch.randn(2, 9), torch.randn(2, 6)
    expected = reference(y, x, [6], weights, [0, -1])
    slots = filled_slots(9, [6], weights, torch.float32)
    monkeypatch.setattr(row_kernel, "run", None)
    add_update(y, x, slots, BatchRows.group(torch.tensor([0, -1]).numpy()), RowKernel())
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_result_that_is_not_a_number_stays_one() -> None:
    """Rounding to bfloat16 must not turn NaN into a number or an infinity."""
    weights = [ModuleWeights.lay_out(*random_weights(4, [6], 2, 1), torch.bfloat16)]
    x, y = torch.full((1, 4), float("nan")).bfloat16(), torch.zeros(1, 6).bfloat16()
    slots = filled_slots(4, [6], weights, torch.bfloat16)
    add_update(y, x, slots, BatchRows.group(torch.tensor([0]).numpy()), RowKernel())
    assert y.isnan().all()


def test_one_thread_is_a_matter_of_the_calling_thread() -> None:
    """The staging thread restricts itself, not the engine."""
    from concurrent.futures import ThreadPoolExecutor

    before = torch.get_num_threads()
    with ThreadPoolExecutor(1, initializer=use_one_thread) as pool:
        pool.submit(torch.randn, 8).result(10)
    assert torch.get_num_threads() == before
