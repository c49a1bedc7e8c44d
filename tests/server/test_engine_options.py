"""vLLM's options follow from the settings, the adapters and the machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import structlog

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import ALLOWED_RANKS
from lorabay.catalog.whole_model import ModelChecks
from lorabay.errors import UsageError
from lorabay.server import engine_options as module, slots
from lorabay.server.engine_options import engine_options, has_rank_over
from lorabay.serving.compute_type import MEASURED_PARAMETERS
from tests import making
from tests.server.directories import changed, directory_of, read

if TYPE_CHECKING:
    from lorabay.settings import Settings


def test_the_adapters_of_the_folder_are_live_before_the_engine_starts(settings: Settings) -> None:
    """The folder is read first, because its adapters decide the engine's options."""
    reconciler = directory_of(settings)
    read(reconciler)
    assert reconciler.registry.names() == ("finance",)
    options = engine_options(settings, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["shutdown_timeout"]) == (
        5,
        512,
        30,
    )


def test_the_users_engine_options_win(settings: Settings) -> None:
    """A given option replaces the one that follows from the host; memory for adapters grows with
    the slots.
    """
    reconciler = directory_of(settings)
    chosen = changed(settings, engine={"max_loras": 20, "max_lora_rank": 64, "dtype": "float32"})
    options = engine_options(chosen, reconciler)
    assert (options["max_loras"], options["max_lora_rank"], options["dtype"]) == (20, 64, "float32")
    assert options["max_cpu_loras"] > 20


@pytest.mark.parametrize(
    ("on_cpu", "features", "dtype", "slices"),
    [
        (True, "avx2", "auto", 32),
        (True, "avx2 avx512f", "auto", 32),
        (True, "avx2 avx512f avx512_bf16", "auto", 256),
        (True, "avx2 avx512f avx512_bf16", "bfloat16", 256),
        (True, "avx2 avx512f avx512_bf16", "float32", 32),
        (True, "", "auto", 32),
        (False, "avx2", "auto", None),
    ],
)
def test_long_prompts_are_sliced_on_processors_alone(
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    on_cpu: bool,
    features: str,
    dtype: str,
    slices: int | None,
) -> None:
    """There a token of a prompt costs everybody else time, more or less of it; the user's own
    choice wins.
    """
    monkeypatch.setattr(module, "engine_is_on_cpu", lambda: on_cpu)
    monkeypatch.setattr(module, "processor_features", lambda: frozenset(features.split()))
    monkeypatch.setattr(slots, "device_memory_bytes", lambda: None)
    # As many as those of the base for which it was measured, or more.
    monkeypatch.setattr(BaseShapes, "layer_parameters", MEASURED_PARAMETERS)
    name = "long_prefill_token_threshold"
    asked = changed(settings, engine={"dtype": dtype})
    assert engine_options(asked, directory_of(asked)).get(name) == slices
    chosen = changed(settings, engine={name: 512})
    assert engine_options(chosen, directory_of(chosen))[name] == 512


def test_a_base_whose_prompts_cost_next_to_nothing_reads_them_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice would be longer than any prompt, which vLLM refuses."""
    monkeypatch.setattr(module, "engine_is_on_cpu", lambda: True)
    options = engine_options(settings, directory_of(settings))
    assert "long_prefill_token_threshold" not in options


@pytest.mark.parametrize(
    ("features", "on_cpu", "asked", "dtype"),
    [
        ("avx2", True, {}, "float32"),
        ("avx2", True, {"dtype": "auto"}, "float32"),
        ("avx2", True, {"dtype": "bfloat16"}, "bfloat16"),
        ("avx2", True, {"quantization": "awq"}, None),
        ("avx2 avx512f avx512_bf16", True, {}, None),
        ("avx2", False, {}, None),
    ],
)
def test_the_engine_computes_in_what_its_processor_multiplies_fast(
    settings: Settings,
    tiny_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    features: str,
    on_cpu: bool,
    asked: dict[str, str],
    dtype: str | None,
) -> None:
    """Said in the log; unless the user says otherwise, or it is a GPU."""
    monkeypatch.setattr(module, "engine_is_on_cpu", lambda: on_cpu)
    monkeypatch.setattr(slots, "device_memory_bytes", lambda: None)
    monkeypatch.setattr(module, "processor_features", lambda: frozenset(features.split()))
    monkeypatch.setattr(module, "host_memory_bytes", lambda: 1 << 40)
    chosen = changed(settings, engine=asked)
    with structlog.testing.capture_logs() as logs:
        options = engine_options(chosen, directory_of(chosen, BaseWeights.open(tiny_base)))

    assert options.get("dtype") == dtype
    said = [line["dtype"] for line in logs if line["event"] == "compute type"]
    is_asked = asked.keys() & {"quantization"} or asked.get("dtype", "auto") != "auto"
    assert said == ([] if is_asked or not on_cpu else [dtype or "vLLM's choice"])


def test_hosts_of_media_reach_the_engine(settings: Settings) -> None:
    """Without any, the option is left out, which the engine takes for none."""
    assert "allowed_media_domains" not in engine_options(settings, directory_of(settings))
    listed = changed(settings, media_domains="cdn.example.com")
    options = engine_options(listed, directory_of(listed))
    assert options["allowed_media_domains"] == ["cdn.example.com"]


@pytest.mark.parametrize("option", ["max_lora_rank", "max_loras", "max_cpu_loras"])
def test_an_engine_option_that_is_no_number_is_a_usage_error(
    settings: Settings, option: str
) -> None:
    """Options that are read before vLLM sees them are refused like those that vLLM refuses."""
    wrong = changed(settings, engine={option: "many"})
    with pytest.raises(UsageError, match=f"'{option}' takes a whole number, not 'many'"):
        engine_options(wrong, directory_of(wrong))


def test_memory_for_adapters_is_shared_by_the_workers(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them holds every adapter, so two hold half as many in the same memory."""
    reconciler = directory_of(settings)
    read(reconciler)
    monkeypatch.setattr(module, "host_memory_bytes", lambda: 1_000_000)
    given: list[int] = []

    def adapter_options(adapters: int, memory: int, **_: object) -> dict[str, int]:
        given.append(memory)
        return {"max_loras": 2, "max_cpu_loras": 3, "max_lora_rank": 16}

    monkeypatch.setattr(module, "adapter_options", adapter_options)
    for sizes in ({}, {"tensor_parallel_size": 2, "pipeline_parallel_size": 2}):
        engine_options(changed(settings, engine=sizes), reconciler)
    assert given == [1_000_000, 250_000]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, int | None]:
    """A host with a GPU, whose memory may be changed."""
    device: dict[str, int | None] = {"memory": 1 << 30}
    monkeypatch.setattr(module, "engine_is_on_cpu", lambda: False)
    monkeypatch.setattr(slots, "device_memory_bytes", lambda: device["memory"])
    return device


def add_adapter(settings: Settings, name: str, rank: int) -> None:
    making.make_adapter(
        Path(settings.adapters[0]) / name,
        config=making.lora_config(r=rank),
        tensors=making.lora_tensors(rank=rank, seed=rank),
    )


def options_of(settings: Settings, base: Path) -> tuple[dict[str, Any], list[Any]]:
    """Return the engine's options for the adapters that are there, and what the log says."""
    reconciler = directory_of(settings, BaseWeights.open(base))
    read(reconciler)
    with structlog.testing.capture_logs() as logs:
        options = engine_options(settings, reconciler)
    return options, [line for line in logs if "slot" in line["event"]]


def test_an_empty_directory_has_room_for_what_may_come(settings: Settings, base: Path) -> None:
    """On a CPU, where a slot is only a reference, for adapters of any rank; the log says so."""
    shutil.rmtree(Path(settings.adapters[0]) / "finance")
    options, (line,) = options_of(settings, base)
    assert (options["max_loras"], options["max_cpu_loras"]) == (5, 9)
    assert options["max_lora_rank"] == ALLOWED_RANKS[-1]
    assert line["event"].startswith("no adapters yet")
    assert line["cost_mib"] == 0


@pytest.mark.parametrize(("memory", "slots", "rank"), [(1 << 30, 5, 64), (0, 2, 16), (None, 2, 16)])
def test_room_on_a_gpu_is_made_where_it_costs_little(
    settings: Settings, base: Path, gpu: dict[str, int | None],
    memory: int | None, slots: int, rank: int,
) -> None:  # fmt: skip
    """Where memory is scarce, or not known, slots are those that the adapters need."""
    gpu["memory"] = memory
    options, (line,) = options_of(settings, base)
    assert (options["max_loras"], options["max_lora_rank"]) == (slots, rank)
    assert (line["count"], line["rank"]) == (slots, rank)
    assert "--expected-rank" in line["set_by"]


def test_room_is_what_the_settings_ask_for(
    settings: Settings, base: Path, gpu: dict[str, int | None]
) -> None:
    """Whatever it costs, as the next of vLLM's ranks; on a CPU alike."""
    gpu["memory"] = 0
    asked = changed(settings, expected_adapters=6, expected_rank=100)
    options, _ = options_of(asked, base)
    assert (options["max_loras"], options["max_lora_rank"]) == (7, 128)


def test_experts_cost_memory_on_a_cpu_too(settings: Settings, base: Path) -> None:
    """vLLM's own layers hold them: there the rank is what memory allows, not the largest."""
    tensors = making.load(base / "model.safetensors")
    experts = tmp_copy(base, tensors | {
        "model.layers.0.mlp.experts.gate_up_proj": making.stored(np.zeros((4, 32, 16)), "BF16")
    })  # fmt: skip
    options, _ = options_of(changed(settings, base=str(experts)), experts)
    assert options["max_lora_rank"] == 64


def tmp_copy(base: Path, tensors: dict[str, making.Stored]) -> Path:
    copy = base.parent / "with-experts"
    shutil.copytree(base, copy, dirs_exist_ok=True)
    making.save(copy / "model.safetensors", tensors)
    return copy


def test_one_adapter_of_a_high_rank_does_not_make_every_slot_large(
    settings: Settings, base: Path, gpu: dict[str, int | None]
) -> None:
    """It is refused, and the log names it with what it would cost and what to set."""
    gpu["memory"] = 0
    add_adapter(settings, "small", 8)
    add_adapter(settings, "legal", 256)
    options, (slots, outlier) = options_of(settings, base)
    assert (options["max_lora_rank"], slots["rank"]) == (16, 16)
    assert (outlier["adapters"], outlier["rank"], outlier["limit"]) == ("legal", 256, 16)
    assert outlier["advice"] == "--outlier-rank 256, or lorabay convert --rank 16"

    wider = changed(settings, outlier_rank=256)
    options, (slots, told) = options_of(wider, base)
    assert options["max_lora_rank"] == 256
    assert (told["adapters"], told["advice"]) == ("legal", "lorabay convert --rank 16")

    gpu["memory"] = 1 << 40
    options, _ = options_of(settings, base)
    assert options["max_lora_rank"] == 256


def test_the_vocabulary_takes_no_room_in_slots_of_a_gpu_that_nobody_uses(
    settings: Settings, base: Path, gpu: dict[str, int | None]
) -> None:
    """Told with the modules that are left; the user's own list stays."""
    reconciler = directory_of(settings, BaseWeights.open(base))
    read(reconciler)
    with structlog.testing.capture_logs() as logs:
        options = engine_options(settings, reconciler)
    targets = options["lora_target_modules"]
    assert {"q_proj", "down_proj"} <= set(targets)
    assert not {"lm_head", "embed_tokens"} & set(targets)
    (line,) = (line for line in logs if line["event"] == "modules that adapters may change")
    assert line["names"] == ", ".join(targets)

    own = changed(settings, engine={"lora_target_modules": ["q_proj", "lm_head"]})
    options, _ = options_of(own, base)
    assert options["lora_target_modules"] == ["q_proj", "lm_head"]


@pytest.mark.parametrize(("slots", "is_chosen"), [(8, True), (4, False)])
def test_graphs_by_number_of_adapters_where_they_pay(
    settings: Settings, base: Path, gpu: dict[str, int | None], slots: int, is_chosen: bool
) -> None:
    """Beside many slots of a GPU; the user's own graphs stay."""
    chosen = changed(settings, engine={"max_loras": slots})
    options, _ = options_of(chosen, base)
    assert options.get("specialize_active_lora", False) is is_chosen
    own = changed(settings, engine={"max_loras": slots, "cudagraph_capture_sizes": [1, 2]})
    options, _ = options_of(own, base)
    assert options["cudagraph_capture_sizes"] == [1, 2]
    assert "specialize_active_lora" not in options


@pytest.mark.parametrize("value", ["half", None])
def test_a_share_that_is_no_number_is_left_to_vllm(
    settings: Settings, base: Path, gpu: dict[str, int | None], value: object
) -> None:
    """It refuses the option itself; the room is that of its default."""
    odd = changed(settings, engine={"gpu_memory_utilization": value})
    assert options_of(odd, base)[0]["max_lora_rank"] == 64


def test_versions_over_a_limit_are_seen(settings: Settings, base: Path) -> None:
    """Those that are live, wait for the engine, or may be rolled back to."""
    add_adapter(settings, "legal", 256)
    reconciler = directory_of(settings, BaseWeights.open(base))
    read(reconciler)
    assert has_rank_over(reconciler, 128)
    assert not has_rank_over(reconciler, 256)


def test_whole_models_need_no_slots(settings: Settings) -> None:
    """The adapters' engine is as large as without them."""
    alone = engine_options(settings, directory_of(settings))
    making.make_model(Path(settings.adapters[0]) / "bank")
    reconciler = directory_of(settings, models=ModelChecks(frozenset({"LlamaForCausalLM"})))
    read(reconciler)
    assert reconciler.registry.names() == ("bank", "finance")
    options = engine_options(settings, reconciler)
    assert options["max_loras"] == alone["max_loras"]
    assert options["max_cpu_loras"] == alone["max_cpu_loras"]
