"""Tests for a machine with a CUDA device: `make test ARGS="tests/gpu --gpu"`.

Without `--gpu` none of them is collected, so that other machines need not import CUDA libraries.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the tests of this folder out unless they were asked for."""
    is_test = collection_path.name.startswith("test_")
    return True if is_test and not config.getoption("--gpu") else None


@pytest.fixture(autouse=True)
def forget_addresses() -> None:
    """vLLM knows weights by their addresses, which those of a test before may have had."""
    from vllm.lora.ops.triton_ops import utils

    utils._LORA_A_PTR_DICT.clear()
    utils._LORA_B_PTR_DICT.clear()


@pytest.fixture(scope="session")
def one_rank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """vLLM's parallel state for a single rank on the device."""
    import torch
    from vllm.config import VllmConfig, set_current_vllm_config
    from vllm.distributed import destroy_distributed_environment, destroy_model_parallel
    from vllm.distributed.parallel_state import (
        init_distributed_environment,
        initialize_model_parallel,
    )

    torch.cuda.set_device(0)
    with set_current_vllm_config(VllmConfig()):
        place = tmp_path_factory.mktemp("rank") / "rendezvous"
        init_distributed_environment(1, 0, f"file://{place}", 0, "gloo")
        initialize_model_parallel(1, 1)

        yield

        destroy_model_parallel()
        destroy_distributed_environment()
