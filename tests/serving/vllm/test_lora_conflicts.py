"""Engine options that do not go with adapters."""

from __future__ import annotations

from typing import Any

import pytest

from lorabay.errors import UsageError
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.lora_conflicts import CONFLICTS, refuse_conflicts

DRAFTS = {"method": "ngram", "num_speculative_tokens": 3}

SPELLINGS: list[tuple[str, object]] = [
    ("dtype", "float32"),
    ("dtype", "float"),
    ("speculative_config", DRAFTS),
    ("enable_dbo", True),
    ("ubatch_size", 2),
    ("ubatch_size", "2"),
    ("prefill_context_parallel_size", 2),
]
"""Each conflict in every form in which an operator can ask for it."""


def refuse(options: dict[str, Any], *, on_cpu: bool) -> None:
    refuse_conflicts(parse_engine_args("/models/tiny", options), on_cpu=on_cpu)


@pytest.mark.parametrize(("option", "value"), SPELLINGS)
def test_a_gpu_refuses_what_makes_adapters_answer_wrongly(option: str, value: object) -> None:
    """The message names the option and says what would go wrong, before the engine starts."""
    with pytest.raises(UsageError, match=f"'{option}' does not go with adapters: .{{20}}"):
        refuse({option: value}, on_cpu=False)


def test_every_conflict_is_tried() -> None:
    assert {conflict.option for conflict in CONFLICTS} == {option for option, _ in SPELLINGS}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"specialize_active_lora": True},
        {"dtype": "bfloat16"},
        {"dtype": "half"},
        {"tensor_parallel_size": 2, "decode_context_parallel_size": 2},
    ],
)
def test_a_gpu_takes_the_rest(options: dict[str, Any]) -> None:
    refuse(options, on_cpu=False)


def test_drafts_go_with_adapters_that_leave_the_head_alone() -> None:
    """However they are asked for: vLLM's list of the head's rows then decides nothing."""
    with pytest.raises(UsageError, match="'speculative_config' does not go with adapters"):
        refuse({"spec_method": "ngram", "spec_tokens": 3}, on_cpu=False)
    targets = {"lora_target_modules": ["q_proj", "v_proj"]}
    refuse({"speculative_config": DRAFTS} | targets, on_cpu=False)
    with pytest.raises(UsageError):
        refuse(
            {"speculative_config": DRAFTS, "lora_target_modules": ["q_proj", "lm_head"]},
            on_cpu=False,
        )


def test_a_cpu_takes_what_only_a_gpu_does_wrongly() -> None:
    """The plugin's kernels compute in float32."""
    refuse({"dtype": "float32"}, on_cpu=True)


def test_a_cpu_refuses_what_splits_a_batch() -> None:
    with pytest.raises(UsageError, match="'enable_dbo'"):
        refuse({"enable_dbo": True}, on_cpu=True)
