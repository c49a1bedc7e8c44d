"""Graphs by number of adapters: every group of a batch's rows is launched, the base's among them.

vLLM's own mixin makes the batches that graphs are captured with, its metadata says how many groups
a launch has, and both of its dispatchers choose among the graphs.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import vllm
from hypothesis import given, settings, strategies as st
from vllm.config import CUDAGraphMode
from vllm.lora.request import LoRARequest
from vllm.lora.utils import get_captured_lora_counts
from vllm.v1.cudagraph_dispatcher import CudagraphDispatcher
from vllm.v1.worker.gpu import lora_utils
from vllm.v1.worker.lora_model_runner_mixin import LoRAModelRunnerMixin

from lorabay.vllm_plugin.device import adapter_counts
from lorabay.vllm_plugin.device.adapter_counts import count_batch, replace_count
from tests.examples import examples
from tests.vllm_files import triton_ops

SIZES = [1, 2, 4, 8, 16, 24, 32]


LoRAKernelMeta = triton_ops("lora_kernel_metadata").LoRAKernelMeta


def config(slots: int, *, specialised: bool = True) -> SimpleNamespace:
    return SimpleNamespace(max_loras=slots, specialize_active_lora=specialised)


class Runner(LoRAModelRunnerMixin):  # type: ignore[misc]
    """vLLM's runner as far as it makes batches of adapters; keeps the metadata of the last one."""

    maybe_select_dummy_loras = adapter_counts._with_base_rows(
        LoRAModelRunnerMixin.maybe_select_dummy_loras
    )

    def __init__(self, slots: int) -> None:
        counts = get_captured_lora_counts(slots, specialize=True)
        self.lora_manager = object()
        self.slots = slots
        self.meta = LoRAKernelMeta.make(slots, 4096, "cpu", counts)

    def _set_active_loras(
        self, prompt: tuple[int, ...], tokens: tuple[int, ...], requests: set[Any], kind: Any
    ) -> None:
        assert {request.lora_int_id for request in requests} >= set(tokens) - {0}
        self.run(tokens)

    def run(self, ids: Any) -> None:
        """Prepare the rows of a batch; adapter n has slot n - 1, and 0 is the base."""
        self.meta.prepare_tensors(torch.tensor(ids) - 1)

    @property
    def groups(self) -> set[int]:
        """The slots of the batch's rows, -1 among them."""
        ids = self.meta.active_lora_ids
        count = int((self.meta.num_tokens_per_lora > 0).sum())
        return set(ids[:count].tolist())

    def launched_by(self, case: int, requests: int) -> int:
        """Return how many groups a graph launches that was captured for a count of adapters."""
        with self.maybe_select_dummy_loras(
            config(self.slots), np.full(requests, 1, np.int32), num_active_loras=case
        ):
            return int(self.meta.num_active_loras_cpu)


def first_dispatcher(slots: int) -> CudagraphDispatcher:
    """vLLM's first dispatcher, over piecewise graphs of every size."""
    compilation = SimpleNamespace(
        cudagraph_mode=CUDAGraphMode.PIECEWISE,
        is_attention_compiled_piecewise=lambda: True,
        cudagraph_capture_sizes=SIZES,
        max_cudagraph_capture_size=SIZES[-1],
        cudagraph_specialize_lora=True,
        compile_sizes=None,
    )
    made = CudagraphDispatcher(
        SimpleNamespace(
            compilation_config=compilation,
            lora_config=config(slots),
            num_speculative_tokens=0,
            scheduler_config=SimpleNamespace(max_num_seqs=SIZES[-1]),
        )
    )
    made.initialize_cudagraph_keys(CUDAGraphMode.PIECEWISE)
    return made


def second_dispatch(slots: int) -> Any:
    """The choice of vLLM's second dispatcher, which is a method of what needs a device."""
    from vllm.v1.worker.gpu.cudagraph_utils import CudaGraphManager

    made: Any = object.__new__(CudaGraphManager)
    made.lora_capture_cases = lora_utils.get_lora_capture_cases(
        config(slots), SimpleNamespace(cudagraph_specialize_lora=True)
    )
    made._lora_dispatch_map, made._max_lora_case = made._build_lora_dispatch_map()
    return made._resolve_effective_loras


batches = st.integers(1, 16).flatmap(
    lambda slots: st.tuples(
        st.just(slots), st.lists(st.integers(0, slots), min_size=1, max_size=SIZES[-1])
    )
)


@settings(max_examples=examples(150), deadline=None)
@given(batches)
def test_a_graph_launches_every_group_of_its_batch(batch: tuple[int, list[int]]) -> None:
    """Whatever adapters and rows of the base are in a batch, by both dispatchers."""
    slots, ids = batch
    adapters = len(set(ids) - {0})
    count = count_batch(adapters, has_base_rows=0 in ids)
    if count == 0:
        return  # such a batch has a graph without adapters

    mode, graph = first_dispatcher(slots).dispatch(len(ids), has_lora=True, num_active_loras=count)
    assert mode == CUDAGraphMode.PIECEWISE
    assert second_dispatch(slots)(count) == graph.num_active_loras

    runner = Runner(slots)
    launched = runner.launched_by(graph.num_active_loras, requests=graph.num_tokens)
    runner.run(ids)
    assert runner.groups == {number - 1 for number in ids}
    assert len(runner.groups) <= launched


def test_vllms_own_count_leaves_an_adapter_out() -> None:
    """What the module is for: without the base's rows in the count, the last group is not run."""
    runner, ids = Runner(8), [0, 1, 2]
    _, graph = first_dispatcher(8).dispatch(3, has_lora=True, num_active_loras=2)
    launched = runner.launched_by(graph.num_active_loras, requests=4)
    runner.run(ids)
    assert launched < len(runner.groups)


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 7, 8, 16])
def test_the_largest_graph_launches_all_slots_and_the_base(slots: int) -> None:
    """vLLM captures it without rows of the base, one launch short where all slots are a case."""
    assert Runner(slots).launched_by(slots + 1, requests=32) == slots + 1


def test_a_server_without_the_option_captures_as_vllm_does() -> None:
    """Its only graph launches all slots and the base, whatever rows it was captured with."""
    runner = Runner(4)
    plain = config(4, specialised=False)
    with runner.maybe_select_dummy_loras(plain, np.ones(8, np.int32), num_active_loras=5):
        assert runner.groups == {0, 1, 2, 3}
    with runner.maybe_select_dummy_loras(None, np.ones(8, np.int32), num_active_loras=5):
        pass


def second_runner() -> Iterator[tuple[ModuleType, type]]:
    """A runner class in a module of its own, like vLLM's second one."""
    module = ModuleType("second_runner")
    vars(module)[adapter_counts._COUNT] = lora_utils.get_num_active_loras_for_dispatch
    kind = type("GPUModelRunner", (LoRAModelRunnerMixin,), {"__module__": module.__name__})
    sys.modules[module.__name__] = module
    yield module, kind
    del sys.modules[module.__name__]


second = pytest.fixture(second_runner)


@pytest.mark.parametrize(("asked", "count"), [("ab", 1), ("abc", 2), ("c", 0), ("adc", 3)])
def test_the_second_runner_counts_rows_of_the_base(
    second: tuple[ModuleType, type], asked: str, count: int
) -> None:
    """By the requests of a step; `c` is one to the base. Twice replaced is replaced once."""
    module, kind = second
    replace_count(kind)
    replace_count(kind)
    state = lora_utils.LoraState(8)
    one, other = (LoRARequest(str(number), number, "/nowhere") for number in (1, 2))
    for index, (name, adapter) in enumerate({"a": one, "b": one, "c": None, "d": other}.items()):
        state.add_request(name, index, adapter)

    counted = getattr(module, adapter_counts._COUNT)
    assert counted(config(4), state, list(asked), False) == count
    assert counted(config(4), state, [], True) == 5  # a dummy run: all slots, and the base


def first_runner() -> type:
    """A runner class that counts in a method, like vLLM's first one; returns what it was told."""

    def dispatch(self: Any, num_tokens: int, force_num_active_loras: int | None = None) -> Any:
        return force_num_active_loras

    return type("GPUModelRunner", (LoRAModelRunnerMixin,), {adapter_counts._DISPATCH: dispatch})


@pytest.mark.parametrize(
    ("mapping", "count"), [([1, 2], 2), ([1, 0], 2), ([0, 0], 0), ([3, 3, 3], 1)]
)
def test_the_first_runner_counts_rows_of_the_base(mapping: list[int], count: int) -> None:
    """By its batch; what the caller knows better stays."""
    kind = first_runner()
    replace_count(kind)
    replace_count(kind)
    runner: Any = kind()
    runner.input_batch = SimpleNamespace(
        request_lora_mapping=np.array([*mapping, 0, 0]),  # and places without requests
        num_reqs=len(mapping),
        lora_id_to_lora_request=dict.fromkeys(set(mapping) - {0}),
    )
    ask = getattr(runner, adapter_counts._DISPATCH)
    assert ask(7) == count
    assert ask(7, force_num_active_loras=4) == 4


def test_an_unknown_runner_is_refused() -> None:
    """It would answer wrongly."""
    unknown = type("NewRunner", (LoRAModelRunnerMixin,), {})
    with pytest.raises(RuntimeError, match="NewRunner counts adapters in a way"):
        replace_count(unknown)


def test_vllms_own_runners_count_where_they_are_looked_for() -> None:
    """The method takes the count by its name; the function is called by its name in the module."""
    from vllm.v1.worker.gpu_model_runner import GPUModelRunner

    method = getattr(GPUModelRunner, adapter_counts._DISPATCH)
    assert adapter_counts._GIVEN in inspect.signature(method).parameters

    path = Path(vllm.__file__).parent / "v1/worker/gpu/model_runner.py"
    assert f"= {adapter_counts._COUNT}(" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("specialised", [True, False])
def test_a_runner_is_replaced_when_it_loads_its_model(
    specialised: bool, second: tuple[ModuleType, type]
) -> None:
    """Only for the option."""
    module, kind = second
    load = adapter_counts._counting(lambda *_: "model")
    vllm_config = SimpleNamespace(lora_config=config(4, specialised=specialised))
    assert load(kind(), None, vllm_config, None) == "model"
    counted = getattr(module, adapter_counts._COUNT)
    is_replaced = counted is not lora_utils.get_num_active_loras_for_dispatch
    assert is_replaced is specialised


def test_both_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the mixin that both of vLLM's runners share."""
    for name in ("load_lora_model", "maybe_select_dummy_loras"):
        monkeypatch.setattr(LoRAModelRunnerMixin, name, getattr(LoRAModelRunnerMixin, name))
    before = LoRAModelRunnerMixin.maybe_select_dummy_loras
    adapter_counts.install.__wrapped__()
    assert LoRAModelRunnerMixin.maybe_select_dummy_loras is not before
