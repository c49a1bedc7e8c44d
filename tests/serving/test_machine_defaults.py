"""Engine options that follow from the host and the adapters."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st
from vllm.platforms import current_platform
from vllm.utils.ompmultiprocessing import OMPProcessManager

from lorabay.errors import UsageError
from lorabay.serving import machine_defaults
from lorabay.serving.machine_defaults import (
    CPU_MEMORY_SHARE,
    DORA_VARIABLE,
    MANY_SLOTS,
    RAY_VARIABLES_VARIABLE,
    SLOTS_AT_MOST,
    START_METHOD_VARIABLE,
    adapter_options,
    cpu_options,
    even_shares,
    free_device_bytes,
    known_architectures,
    scales_outputs,
    server_options,
    set_cpu_environment,
    set_start_method,
    slot_count,
)

GIB = 1 << 30


@given(
    adapters=st.integers(0, 40),
    memory=st.integers(0, 1 << 40),
    size=st.integers(0, 1 << 32),
    at_most=st.sampled_from([SLOTS_AT_MOST, MANY_SLOTS]),
)
def test_the_options_always_fit_together(
    adapters: int, memory: int, size: int, at_most: int
) -> None:
    """vLLM accepts the numbers for any adapters and machine."""
    slots = slot_count(max(adapters, 1), at_most=at_most)
    options = adapter_options(adapters, memory, slots=slots, rank=16, adapter_bytes=size)
    assert 2 <= options["max_loras"] <= at_most
    assert options["max_cpu_loras"] > options["max_loras"]
    assert options["max_lora_rank"] == 16


@pytest.mark.parametrize("context", [None, 32, 4096, "4k"])
def test_long_prompts_are_read_in_slices_on_a_cpu(context: object) -> None:
    """So that they hold no other answer up."""
    options = {} if context is None else {"max_model_len": context}
    assert cpu_options(options, 32) == {"long_prefill_token_threshold": 32}


def test_a_slice_is_not_longer_than_the_context() -> None:
    """vLLM would refuse to start."""
    assert cpu_options({"max_model_len": 31}, 32) == {}
    assert cpu_options({}, 32, 31) == {}
    assert cpu_options({"max_model_len": 32}, 32, 31) == {"long_prefill_token_threshold": 32}


@pytest.mark.parametrize(
    ("adapters", "slots"), [(1, 2), (3, 4), (4, 5), (6, 7), (7, 8), (8, 8), (100, 8)]
)
def test_a_slot_for_each_adapter_and_one_more(adapters: int, slots: int) -> None:
    """A new version finds a free one beside the old."""
    assert slot_count(adapters) == slots
    assert slot_count(100, at_most=MANY_SLOTS) == MANY_SLOTS


def test_memory_holds_every_adapter_twice_where_it_can() -> None:
    """All adapters and their next versions stay in memory, up to a share of the machine's."""

    def places(memory_bytes: int) -> object:
        options = adapter_options(
            50, memory_bytes, slots=SLOTS_AT_MOST, rank=16, adapter_bytes=1_000_000
        )
        return options["max_cpu_loras"]

    assert places(GIB) == 101
    assert places(100_000_000) == CPU_MEMORY_SHARE * 100
    assert places(0) == SLOTS_AT_MOST + 1


@pytest.mark.parametrize(("grace", "seconds"), [(0.0, 0), (0.2, 1), (30.0, 30)])
def test_the_engine_drains_at_least_as_long_as_the_server(grace: float, seconds: int) -> None:
    """A signal that also reaches the engine's process does not cut off requests that the server
    lets finish.
    """
    assert server_options(grace)["shutdown_timeout"] == seconds


def test_all_cores_work_by_default() -> None:
    """vLLM gets every CPU that this process may use, and the size of its cache."""
    environ: dict[str, str] = {}
    set_cpu_environment(environ, kv_cache_gib=3, threads="all")
    cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
    assert environ == {
        "VLLM_CPU_KVCACHE_SPACE": "3",
        "VLLM_CPU_OMP_THREADS_BIND": cpus,
    }


@given(
    cpus=st.lists(st.integers(0, 255), min_size=1, max_size=64, unique=True),
    workers=st.integers(1, 16),
)
def test_cpus_are_shared_out_evenly(cpus: list[int], workers: int) -> None:
    """Every worker has some, none has two more than another, and every CPU works, for one worker
    if possible.
    """
    shares = even_shares(cpus, workers)
    sizes = [len(share) for share in shares]
    assert len(shares) == workers
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    shared = [cpu for share in shares for cpu in share]
    assert set(shared) == set(cpus)
    assert len(cpus) < workers or shared == cpus


@pytest.mark.parametrize(("tensor", "data"), [(1, 1), (2, 1), (2, 2)])
def test_vllm_takes_the_shares(tensor: int, data: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's own reader finds a list for each of its workers, in each data-parallel engine."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3, 8, 9, 10, 11})
    environ: dict[str, str] = {}
    set_cpu_environment(environ, kv_cache_gib=1, threads="all", workers=tensor * data)
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", environ["VLLM_CPU_OMP_THREADS_BIND"])
    bound: list[int] = []
    for rank in range(data):
        config = SimpleNamespace(
            parallel_config=SimpleNamespace(
                local_world_size=tensor,
                data_parallel_rank_local=rank if data > 1 else None,
                _api_process_count=1,
            ),
            kv_transfer_config=None,
        )
        lists = OMPProcessManager(config).cpu_lists
        assert len(lists) == tensor
        bound += [cpu for share in lists for cpu in share]
    assert bound == [0, 1, 2, 3, 8, 9, 10, 11]


def test_what_the_user_set_stays() -> None:
    """Variables that are set win over settings, and a list of threads is passed on unchanged."""
    environ = {"VLLM_CPU_KVCACHE_SPACE": "9", "TORCHINDUCTOR_CACHE_DIR": "/elsewhere"}
    set_cpu_environment(environ, kv_cache_gib=3, threads="0-1")
    assert environ == {
        "VLLM_CPU_KVCACHE_SPACE": "9",
        "VLLM_CPU_OMP_THREADS_BIND": "0-1",
        "TORCHINDUCTOR_CACHE_DIR": "/elsewhere",
    }


def test_a_cpu_scales_outputs_without_being_asked() -> None:
    """On a CPU the plugin's kernel scales the rows concerned."""
    environ: dict[str, str] = {}
    assert scales_outputs(environ, {}, dora=False)
    assert environ == {}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A platform with vLLM's Triton kernels."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: False)
    monkeypatch.setattr(type(current_platform), "is_cuda_alike", lambda self: True)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_scales_outputs_when_asked() -> None:
    """The plugin reads the answer from the environment of the processes that vLLM starts."""
    environ: dict[str, str] = {}
    assert not scales_outputs(environ, {}, dora=False)
    assert environ == {}
    assert scales_outputs(environ, {}, dora=True)
    assert environ[DORA_VARIABLE] == "1"


@pytest.mark.usefixtures("gpu")
def test_workers_on_other_machines_scale_too() -> None:
    """Ray gives them the variable; what the user lets it carry stays, and nothing stands twice."""
    environ = {RAY_VARIABLES_VARIABLE: "MY_TOKEN"}
    for _ in range(2):
        assert scales_outputs(environ, {}, dora=True)
    assert environ[RAY_VARIABLES_VARIABLE] == f"MY_TOKEN,{DORA_VARIABLE}"


@pytest.mark.usefixtures("gpu")
def test_a_device_without_vllms_kernels_scales_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There DoRA is refused when it is read, not when a request waits for it."""
    monkeypatch.setattr(type(current_platform), "is_cuda_alike", lambda self: False)
    environ: dict[str, str] = {}
    assert not scales_outputs(environ, {}, dora=True)
    assert environ == {}


@pytest.mark.parametrize("cpu", [True, False])
def test_fully_sharded_lora_scales_nothing(cpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DoRA adapter is refused when it is read, not when the engine is to load it."""
    monkeypatch.setattr(type(current_platform), "is_cpu", lambda self: cpu)
    assert not scales_outputs({}, {"fully_sharded_loras": True}, dora=True)


@pytest.mark.parametrize("environ", [{}, {START_METHOD_VARIABLE: "spawn"}])
def test_processes_start_afresh(environ: dict[str, str]) -> None:
    """No engine is a copy of a server with open connections and held locks."""
    set_start_method(environ)
    assert environ == {START_METHOD_VARIABLE: "spawn"}


@pytest.mark.parametrize("method", ["fork", "forkserver", ""])
def test_a_fork_is_refused(method: str) -> None:
    """A user who asks for it learns why it cannot be."""
    with pytest.raises(UsageError, match="unset it, or set it to 'spawn'"):
        set_start_method({START_METHOD_VARIABLE: method})


@pytest.mark.parametrize("cpu", [True, False])
def test_experts_are_adapted_on_a_gpu(cpu: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM has no kernels for them on processors."""
    monkeypatch.setattr(machine_defaults, "engine_is_on_cpu", lambda: cpu)
    assert machine_defaults.adapts_experts() == (not cpu)


def test_a_machine_without_a_device_does_not_say_what_is_free_on_it() -> None:
    assert free_device_bytes() is None


def test_vllm_names_the_architectures_that_it_knows() -> None:
    """As the configs of models do."""
    assert {"LlamaForCausalLM", "Qwen2ForCausalLM"} <= known_architectures()
