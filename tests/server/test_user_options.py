"""Options of the user are what vLLM takes, or a usage error."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.server.user_options import (
    VLLM_MEMORY_SHARE,
    all_slots,
    local_worker_count,
    memory_share,
    target_modules,
    whole_number,
    worker_count,
)


def test_workers_are_counted_over_every_kind_of_parallelism() -> None:
    """Ranks of one model and its copies alike."""
    assert worker_count({}) == worker_count({"max_loras": 4}) == 1
    assert (
        worker_count(
            {"tensor_parallel_size": 2, "pipeline_parallel_size": 3, "data_parallel_size": "2"}
        )
        == 12
    )
    with pytest.raises(UsageError, match="'tensor_parallel_size' takes a whole number"):
        worker_count({"tensor_parallel_size": "many"})
    with pytest.raises(UsageError, match="'pipeline_parallel_size' is at least 1, not 0"):
        worker_count({"pipeline_parallel_size": 0})


def test_each_copy_of_the_model_has_slots_of_its_own() -> None:
    assert all_slots({"max_loras": 4}) == 4
    assert all_slots({"max_loras": "4", "data_parallel_size": 2}) == 8


def test_workers_of_other_machines_take_no_memory_here() -> None:
    """Of the copies of the model, those on this machine count."""
    assert local_worker_count({"tensor_parallel_size": 2, "data_parallel_size": 4}) == 8
    copies = {"data_parallel_size": 4, "data_parallel_size_local": 1}
    assert local_worker_count({"tensor_parallel_size": 2} | copies) == 2


@pytest.mark.parametrize(
    ("value", "modules"),
    [
        (None, None),
        ("q_proj", ("q_proj",)),
        (["q_proj", "v_proj"], ("q_proj", "v_proj")),
    ],
)
def test_the_modules_that_the_engine_adapts(value: object, modules: object) -> None:
    """One name, or a list of them."""
    assert target_modules({"lora_target_modules": value}) == modules


@pytest.mark.parametrize("value", [7, [7], {"a": 1}])
def test_modules_that_are_no_names_are_a_usage_error(value: object) -> None:
    with pytest.raises(UsageError, match="takes a list of module names"):
        target_modules({"lora_target_modules": value})


def test_a_whole_number_may_be_text() -> None:
    """A command line has nothing else; what is no number is named with its option."""
    assert whole_number({"max_loras": "4"}, "max_loras") == 4
    assert whole_number({}, "max_loras", default=2) == 2
    for value in (None, "many", [4]):
        with pytest.raises(UsageError, match="'max_loras' takes a whole number"):
            whole_number({"max_loras": value}, "max_loras")


@pytest.mark.parametrize(
    ("options", "share"),
    [
        ({"gpu_memory_utilization": 0.5}, 0.5),
        ({"gpu_memory_utilization": "0.5"}, 0.5),
        ({"gpu_memory_utilization": "half"}, VLLM_MEMORY_SHARE),
        ({}, VLLM_MEMORY_SHARE),
    ],
)
def test_the_share_of_memory_is_vllms_unless_it_is_a_number(
    options: dict[str, object], share: float
) -> None:
    """vLLM itself refuses what is none."""
    assert memory_share(options) == share
