"""Loads in a worker: what they come to, told apart by the type of their failure."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from vllm.exceptions import LoRAAdapterNotFoundError

from lorabay.vllm_plugin.load_outcomes import FAILED, LOADED, REFUSED, outcome_of


def failing(error: Exception, cause: Exception | None = None) -> Callable[[], bool]:
    def load() -> bool:
        raise error from cause

    return load


def test_a_load_that_works_is_loaded() -> None:
    """There is nothing to explain."""
    assert outcome_of(lambda: True) == (LOADED, "")


def test_a_load_that_the_engine_declines_is_refused() -> None:
    """vLLM says no without an exception."""
    assert outcome_of(lambda: False)[0] == REFUSED


@pytest.mark.parametrize(
    "error",
    [
        ValueError("LoRA rank 512 is greater than max_lora_rank 16\n(more)"),
        RuntimeError("The size of tensor a (4) must match the size of tensor b (8)"),
        KeyError("r"),
    ],
)
def test_what_is_said_of_the_weights_is_a_refusal(error: Exception) -> None:
    """Its first line is the reason that an admin reads."""
    outcome, reason = outcome_of(failing(error))
    assert outcome == REFUSED
    assert reason == str(error).splitlines()[0]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error", "/store/versions/a"), "Input/output error"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/store/a"), "No such file"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (TimeoutError("RPC call to add_lora timed out"), "TimeoutError"),
        (MemoryError(), "MemoryError"),
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), "RuntimeError"),
    ],
)
def test_what_the_machine_did_passes(error: Exception, reason: str) -> None:
    """The reason names no path: clients see it."""
    assert outcome_of(failing(error)) == (FAILED, reason)


def test_a_missing_file_is_known_behind_vllms_own_error() -> None:
    """vLLM raises an error of its own for a folder that is not there."""
    error = LoRAAdapterNotFoundError("finance@1", "/store/versions/a")
    cause = FileNotFoundError(errno.ENOENT, "No such file or directory", "/store/versions/a")
    assert outcome_of(failing(error, cause)) == (FAILED, "No such file or directory")


def test_a_file_that_was_damaged_in_the_store_is_not_the_adapters_fault(tmp_path: Path) -> None:
    """It was whole when it was stored."""
    damaged = tmp_path / "adapter_model.safetensors"
    damaged.write_bytes(b"\xff" * 40)

    def load() -> bool:
        with safe_open(damaged, framework="pt"):
            return True

    assert outcome_of(load)[0] == FAILED
