"""vLLM's parts in front of an engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from vllm.config import ModelConfig, VllmConfig

from tests.serving.vllm.rendered import CONTEXT, Rendered


@pytest.fixture(scope="module")
def config(tiny_base: Path) -> VllmConfig:
    model = ModelConfig(model=str(tiny_base), dtype="float32", max_model_len=CONTEXT)
    return VllmConfig(model_config=model)


@pytest.fixture
def rendered(config: VllmConfig) -> Rendered:
    return Rendered(config)
