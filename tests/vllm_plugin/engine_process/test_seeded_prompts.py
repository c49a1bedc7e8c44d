"""Generators of requests with a seed, while their prompts are read in parts."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from vllm.v1.sample.ops.topk_topp_sampler import random_sample
from vllm.v1.worker.cpu_model_runner import CPUModelRunner
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from lorabay.vllm_plugin.engine_process.seeded_prompts import keep_generators

WORDS = 1000
ROWS = 3


class Runner:
    """The parts of vLLM's runner that touch generators, with the sampler that it uses."""

    def __init__(self, seeds: dict[int, int]) -> None:
        generators = {row: torch.Generator().manual_seed(seed) for row, seed in seeds.items()}
        self.input_batch = SimpleNamespace(num_reqs=ROWS, generators=generators)
        # Rows past the batch hold what a former step left there.
        self.discard_request_mask = SimpleNamespace(np=np.ones(ROWS + 2, dtype=bool))

    def step(self, *unread: int) -> list[int]:
        """Run a step in which some rows have not read their prompt; return each row's draw."""
        self.discard_request_mask.np[:ROWS] = [row in unread for row in range(ROWS)]
        drawn = self._sample(torch.full((ROWS, WORDS), 1 / WORDS))
        self._bookkeeping_sync()
        return drawn

    def _sample(self, likelihoods: torch.Tensor) -> list[int]:
        drawn: list[int] = random_sample(likelihoods, self.input_batch.generators).tolist()
        return drawn

    def _bookkeeping_sync(self) -> None:
        # As vLLM 0.32 does.
        for row in np.nonzero(self.discard_request_mask.np[:ROWS])[0]:
            generator = self.input_batch.generators.get(int(row))
            if generator is not None:
                generator.set_offset(generator.get_offset() - 4)


class Keeping(Runner):
    """The same, with the plugin."""


keep_generators(Keeping)


def test_vllm_ends_in_an_error() -> None:
    """Without the plugin, one part of one prompt does."""
    with pytest.raises(RuntimeError, match="offset"):
        Runner({0: 7}).step(0)


@pytest.mark.parametrize("parts", [0, 1, 5])
def test_a_seed_gives_the_same_however_its_prompt_is_cut(parts: int) -> None:
    """The draws after the last part are those of a prompt that was read at once."""
    whole, cut = Keeping({0: 7, 2: 7}), Keeping({0: 7, 2: 7})
    for _ in range(parts):
        cut.step(0, 2)
    for _ in range(3):
        expected, drawn = whole.step(), cut.step()
        assert (drawn[0], drawn[2]) == (expected[0], expected[2])


def test_others_go_on() -> None:
    """A request that has read its prompt draws its next token beside one that has not."""
    alone, beside = Keeping({1: 7}), Keeping({0: 5, 1: 7})
    for _ in range(3):
        assert beside.step(0)[1] == alone.step()[1]
    assert list(beside.input_batch.generators) == [0, 1]


def test_generators_are_back_after_a_failure() -> None:
    """Also if a step ends in an error, which another part of the engine may take."""

    class Failing(Runner):
        def _bookkeeping_sync(self) -> None:
            raise ZeroDivisionError

    keep_generators(Failing)
    runner = Failing({0: 7})
    with pytest.raises(ZeroDivisionError):
        runner.step(0)
    assert list(runner.input_batch.generators) == [0]


def test_vllms_runner_has_what_is_replaced() -> None:
    """Under these names, and the rewinding is in them alone."""
    for name in ("_sample", "_bookkeeping_sync"):
        assert callable(getattr(CPUModelRunner, name))
    assert "get_offset" in inspect.getsource(GPUModelRunner._bookkeeping_sync)
    assert inspect.getsource(GPUModelRunner).count("get_offset") == 1
    parameters: Any = inspect.signature(GPUModelRunner._sample).parameters
    assert list(parameters)[:2] == ["self", "logits"]
