"""Engine options that vLLM 0.32 takes beside LoRA, and that then answer wrongly or not at all.

Each is refused before the engine starts, with its reason. It is the parsed arguments that are
looked at, so that every spelling of an option counts. Knows nothing of how options are spelled.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from lorabay.errors import UsageError
from lorabay.serving.vllm.requests.prompt_logprobs import head_takes_adapters


def _drafts_beside_an_adapted_head(arguments: Namespace) -> bool:
    drafts = (
        arguments.speculative_config,
        arguments.spec_method,
        arguments.spec_model,
        arguments.spec_tokens,
    )
    return any(drafts) and head_takes_adapters(arguments)


@dataclass(frozen=True, slots=True)
class Conflict:
    """An option, when it is in the way of LoRA, and why; some are harmless on a CPU."""

    option: str
    is_set: Callable[[Namespace], bool]
    reason: str
    also_on_cpu: bool = False


CONFLICTS = (
    Conflict(
        "dtype",
        lambda arguments: arguments.dtype in ("float", "float32"),
        "a GPU's LoRA kernels compute in float16 and bfloat16 only; leave it at auto",
    ),
    Conflict(
        "speculative_config",
        _drafts_beside_an_adapted_head,
        "a request then has several rows in the head, and vLLM lists an adapter for one of them: "
        "adapters of the head reach other requests; start with lora_target_modules that leave out "
        "lm_head",
    ),
    Conflict(
        "enable_dbo",
        lambda arguments: bool(arguments.enable_dbo),
        "it splits a batch, but not the list of which row uses which adapter; leave it off",
        also_on_cpu=True,
    ),
    Conflict(
        "ubatch_size",
        lambda arguments: arguments.ubatch_size > 1,
        "it splits a batch, but not the list of which row uses which adapter; leave it at 0",
        also_on_cpu=True,
    ),
    Conflict(
        "prefill_context_parallel_size",
        lambda arguments: arguments.prefill_context_parallel_size > 1,
        "it splits a prompt, but not the list of which row uses which adapter; leave it at 1, and "
        "spread the model with tensor_parallel_size",
        also_on_cpu=True,
    ),
)
"""Every option with which LoRA is known to go wrong."""


def refuse_conflicts(arguments: Namespace, *, on_cpu: bool) -> None:
    """Raise UsageError for the first option that LoRA does not go with on this device."""
    for conflict in CONFLICTS:
        if on_cpu and not conflict.also_on_cpu:
            continue

        if conflict.is_set(arguments):
            raise UsageError(
                f"engine option {conflict.option!r} does not go with adapters: {conflict.reason}"
            )
