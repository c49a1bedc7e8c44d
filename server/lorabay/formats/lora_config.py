"""The config of a LoRA adapter: its fields and their types, and the features that cannot be served.

Knows nothing of tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.formats.patterns import pattern_problems, pattern_value
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_Rank = Annotated[int, Field(ge=1, le=1 << 16)]
_Alpha = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]

# Initialisations that leave the base as it was. Others move a part of the base into A and B.
_HARMLESS_INITS = frozenset({"gaussian", "orthogonal", "eva", "mica"})

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

# Features that leave a base with the same layers and no need of anything but its weights.
_MERGEABLE = frozenset({"use_dora", "modules_to_save", "lora_bias", "trainable_token_indices"})

# Fields that say how the adapter was trained, not what it computes.
_WITHOUT_EFFECT = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config", "fan_in_fan_out",
    "inference_mode", "loftq_config", "lora_dropout", "lora_ga_config", "megatron_config", "megatron_core", "peft_type",
    "peft_version", "qalora_group_size", "revision", "runtime_config", "task_type", "velora_config",
})  # fmt: skip


class LoraConfig(BaseModel):
    """The fields that decide what the weights mean, and whatever else the file holds."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, hide_input_in_errors=True)

    r: Annotated[int, Field(le=1 << 16)]
    lora_alpha: _Alpha
    target_modules: list[str] | str
    use_rslora: bool = False
    use_dora: bool | None = False
    lora_bias: bool | None = False
    bias: str = "none"
    init_lora_weights: bool | str | None = True
    rank_pattern: dict[str, _Rank] | None = None
    alpha_pattern: dict[str, _Alpha] | None = None
    exclude_modules: list[str] | str | None = None
    layers_to_transform: list[int] | int | None = None
    layers_pattern: list[str] | str | None = None

    @property
    def patterns(self) -> tuple[str, ...]:
        return (*(self.rank_pattern or ()), *(self.alpha_pattern or ()))

    @property
    def unknown(self) -> tuple[str, ...]:
        """Fields that are set and may mean something that this program does not know."""
        extra = self.model_extra or {}
        return tuple(
            sorted(
                name
                for name in extra
                if extra[name] and name not in _WITHOUT_EFFECT | _FEATURES.keys()
            )
        )

    def rank_of(self, module: str, *, trusted: bool = False) -> int:
        return int(pattern_value(self.rank_pattern or {}, module, trusted=trusted) or self.r)

    def scale_of(self, module: str, rank: int, *, trusted: bool = False) -> float:
        alpha = pattern_value(self.alpha_pattern or {}, module, trusted=trusted)
        return (self.lora_alpha if alpha is None else alpha) / (
            math.sqrt(rank) if self.use_rslora else rank
        )


def parse_config(config: Mapping[str, object]) -> LoraConfig | Rejected:
    try:
        return LoraConfig.model_validate(config)
    except ValidationError as error:
        return rejected(
            Reason(
                "config_field",
                f"adapter_config.json: {'.'.join(map(str, problem['loc']))[:100]}: {problem['msg']}",
            )
            for problem in error.errors()
        )


def feature_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    for field, (code, text) in _FEATURES.items():
        if config.get(field):
            yield Reason(code, f"{field} is set: {text}")
    if config.get("bias", "none") != "none":
        text = "biases are not served; retrain with bias='none' or merge it"
        yield Reason("bias", f"bias is {quoted(config['bias'])}: {text}")
    yield from init_problems(config)


def unmergeable_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Features that cannot become a part of the base's weights either."""
    for field, (code, _) in _FEATURES.items():
        if config.get(field) and field not in _MERGEABLE:
            yield Reason(
                code,
                f"{field} is set: what it does is no change of the base's weights that is known here",
            )


def init_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Initialisations that took a part of the base into A and B."""
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _HARMLESS_INITS:
        yield Reason(
            "init_changed_base",
            f"init_lora_weights is {quoted(init)}, which changes the base's own weights; convert the adapter with "
            "PEFT's save_pretrained(path_initial_model_for_weight_conversion=...)",
        )


def config_problems(config: LoraConfig, *, trusted: bool = False) -> Iterator[Reason]:
    if config.r < 1:
        yield Reason("rank_zero", f"r is {config.r}; a rank is at least 1")
    if config.lora_alpha == 0:
        yield Reason("no_effect", "lora_alpha is 0, so the adapter would answer like the base")
    yield from pattern_problems(config.patterns, trusted=trusted)
