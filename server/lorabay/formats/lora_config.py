"""The config of a LoRA adapter: its fields, and the features that PEFT can add to plain LoRA.

Knows nothing of tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from lorabay.formats.config_fields import FIELDS, Alpha, Rank, pattern_problems, pattern_value
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FEATURES = {
    "use_dora": ("dora", "DoRA is not served with fully sharded LoRA, nor on a GPU without --dora"),
    "modules_to_save": (
        "modules_to_save",
        "whole retrained modules are not served; merge it into the base",
    ),
    "lora_bias": (
        "bias",
        "biases are not served; retrain with lora_bias=False or merge it into the base",
    ),
    "trainable_token_indices": (
        "trainable_tokens",
        "retrained token embeddings are not served; merge it",
    ),
    "target_parameters": (
        "target_parameters",
        "LoRA on bare parameters is not served; merge it into the base",
    ),
    "layer_replication": (
        "layer_replication",
        "replicated layers change the base's shape and are not served",
    ),
    "alora_invocation_tokens": ("alora", "activated LoRA is not served; retrain as plain LoRA"),
    "arrow_config": (
        "arrow",
        "Arrow routes between several adapters and is not served; retrain as plain LoRA",
    ),
    "kasa_config": ("kasa", "KaSA changes the base and is not served; merge it into the base"),
    "monteclora_config": ("monteclora", "MonteCLoRA is not served; merge it into the base"),
    "use_bdlora": ("bdlora", "block-diagonal LoRA is not served; retrain as plain LoRA"),
    "use_qalora": ("qalora", "QA-LoRA is not served; retrain as plain LoRA"),
}
"""Field -> the code and the text of why plain LoRA cannot express it."""

_MERGEABLE = frozenset({"use_dora", "modules_to_save", "lora_bias", "trainable_token_indices"})
"""Features that change nothing but the base's weights, in a way that is known here."""

_WITHOUT_EFFECT = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
    "fan_in_fan_out", "inference_mode", "loftq_config", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "peft_type", "peft_version", "qalora_group_size",
    "revision", "runtime_config", "task_type", "velora_config",
})  # fmt: skip
"""Fields that say how the adapter was trained, not what it computes."""


class LoraConfig(BaseModel):
    """The fields that decide what the weights mean, and whatever else the file holds."""

    model_config = FIELDS | ConfigDict(extra="allow")

    r: Annotated[int, Field(le=1 << 16)]
    lora_alpha: Alpha
    target_modules: list[str] | str
    use_rslora: bool = False
    use_dora: bool | None = False
    lora_bias: bool | None = False
    bias: str = "none"
    init_lora_weights: bool | str | None = True
    rank_pattern: dict[str, Rank] | None = None
    alpha_pattern: dict[str, Alpha] | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        """The keys of all patterns."""
        return (*(self.rank_pattern or ()), *(self.alpha_pattern or ()))

    @property
    def variant(self) -> str:
        """The format's name for people: lora, rslora or dora."""
        if self.use_dora:
            return "dora"
        return "rslora" if self.use_rslora else "lora"

    @property
    def warnings(self) -> tuple[str, ...]:
        """A warning about fields that are set and may mean something that is unknown here."""
        known = _WITHOUT_EFFECT | _FEATURES.keys()
        extra = self.model_extra or {}
        unknown = tuple(sorted(name for name in extra if extra[name] and name not in known))
        if not unknown:
            return ()
        return (f"fields of adapter_config.json that are unknown here: {quoted(unknown)}",)

    def problems(self, *, trusted: bool) -> Iterator[Reason]:
        """Return a reason for each value that makes no adapter."""
        if self.r < 1:
            yield Reason("rank_zero", f"r is {self.r}; a rank is at least 1")
        if self.lora_alpha == 0:
            yield Reason("no_effect", "lora_alpha is 0, so the adapter would answer like the base")
        yield from pattern_problems(self.patterns, trusted=trusted)

    def rank_of(self, module: str, *, trusted: bool) -> int:
        """Return the rank of `module`."""
        return int(pattern_value(self.rank_pattern or {}, module, trusted=trusted) or self.r)

    def scale_of(self, module: str, rank: int, *, trusted: bool) -> float:
        """Return the factor of B A in `module`, whose factors have `rank`."""
        alpha = pattern_value(self.alpha_pattern or {}, module, trusted=trusted)
        divisor = math.sqrt(rank) if self.use_rslora else rank
        return (self.lora_alpha if alpha is None else alpha) / divisor


def unserved_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Return a reason for each feature that an engine cannot serve as plain LoRA."""
    for field, (code, text) in _FEATURES.items():
        if config.get(field):
            yield Reason(code, f"{field} is set: {text}")
    if config.get("bias", "none") != "none":
        text = "biases are not served; retrain with bias='none' or merge it"
        yield Reason("bias", f"bias is {quoted(config['bias'])}: {text}")


def unmergeable_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Return a reason for each feature that is not a known change of the base's weights."""
    for field, (code, _) in _FEATURES.items():
        if config.get(field) and field not in _MERGEABLE:
            text = "what it does is no change of the base's weights that is known here"
            yield Reason(code, f"{field} is set: {text}")
