"""What the kernel asks of the processor; its vectors are compared in test_apply_lora.py."""

from __future__ import annotations

from typing import Any

import llvmlite.binding
import pytest
import torch

from lorabay.vllm_plugin.kernel import vectors
from lorabay.vllm_plugin.weight_layout import layout_for


def test_a_processor_is_asked_for_its_features_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter has hundreds of matrices, each of which is laid out by them."""
    asked: list[None] = []
    original = llvmlite.binding.get_host_cpu_features

    def features() -> Any:
        asked.append(None)
        return original()

    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", features)
    vectors._host_features.cache_clear()
    layouts = {layout_for(torch.bfloat16) for _ in range(100)}
    assert len(layouts) == 1
    assert len(asked) <= 1


def test_features_that_somebody_restricts_are_obeyed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after the processor's own were read."""
    vectors.multiplies_bfloat16()
    monkeypatch.setattr(vectors.config, "CPU_FEATURES", "+avx512f,+avx512bf16")
    assert vectors.multiplies_bfloat16()
    monkeypatch.setattr(vectors.config, "CPU_FEATURES", "+avx2")
    assert not vectors.multiplies_bfloat16()
