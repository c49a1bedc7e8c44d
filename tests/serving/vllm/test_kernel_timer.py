"""The timer of LoRA kernels, as far as it goes without a GPU; tests/gpu runs it."""

from __future__ import annotations

import pytest
import torch
from vllm.platforms import current_platform

from lorabay.errors import SetupError
from lorabay.serving.vllm import kernel_timer
from lorabay.serving.vllm.kernel_timer import open_timer


def test_a_machine_without_a_gpu_is_told_so() -> None:
    """And where to run it instead."""
    with pytest.raises(SetupError, match="run it where the server will run"):
        open_timer()


def test_a_gpu_has_a_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where vLLM has its kernels and torch finds the device; it bears the device's name."""
    monkeypatch.setattr(kernel_timer, "HAS_TRITON", True)
    monkeypatch.setattr(type(current_platform), "is_cuda_alike", lambda self: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA Test")
    assert open_timer().device == "NVIDIA Test"
