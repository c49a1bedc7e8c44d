"""The config of a LoRA adapter: its fields, and the features that PEFT can add to plain LoRA.

Knows nothing of tensors.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from lorabay.formats.advice import MERGE
from lorabay.formats.config.config_fields import FIELDS, Alpha, Listed, Named, Rank
from lorabay.formats.config.patterns import PatternFields
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

FEATURES = {
    "use_dora": ("dora", "DoRA is not served with fully sharded LoRA, nor on a GPU without --dora"),
    "modules_to_save": (
        "modules_to_save",
        f"whole retrained modules are not served; {MERGE}",
    ),
    "lora_bias": (
        "bias",
        f"biases are not served; retrain with lora_bias=False, or {MERGE}",
    ),
    "trainable_token_indices": (
        "trainable_tokens",
        f"retrained token embeddings are not served; {MERGE}",
    ),
    "target_parameters": (
        "target_parameters",
        f"LoRA on bare parameters, such as experts, is not served by this engine; {MERGE}",
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
    "kasa_config": (
        "kasa",
        "KaSA cuts a part off the base's weights, which only PEFT does; merge it with PEFT "
        "(merge_and_unload) and serve the result",
    ),
    "use_bdlora": ("bdlora", "block-diagonal LoRA is not served; retrain as plain LoRA"),
    "use_qalora": ("qalora", "QA-LoRA is not served; retrain as plain LoRA"),
}
"""Field -> the code and the text of why plain LoRA cannot express it."""

_OTHER_CLASS = (
    "the base has none of these modules, so the adapter was trained on a class with another head, "
    "such as a classifier's; serve it on a base of that class"
)

_MERGEABLE = frozenset({
    "use_dora", "modules_to_save", "lora_bias", "trainable_token_indices", "target_parameters",
})  # fmt: skip
"""Features that change nothing but the base's weights, in a way that is known here."""

_BIAS = ".bias"
_TRAINED_BIASES = ("all", "lora_only")
"""Values of `bias` for which PEFT trains those that the base has."""

_WITHOUT_EFFECT = frozenset({
    "auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying", "eva_config",
    "fan_in_fan_out", "inference_mode", "loftq_config", "lora_dropout", "lora_ga_config",
    "megatron_config", "megatron_core", "monteclora_config", "peft_type", "peft_version",
    "qalora_group_size", "revision", "runtime_config", "task_type", "velora_config",
})  # fmt: skip
"""Fields that say how the adapter was trained, not what it computes."""


class LoraConfig(BaseModel):
    """The fields that decide what the weights mean, and whatever else the file holds."""

    model_config = FIELDS | ConfigDict(extra="allow")

    r: Annotated[int, Field(le=1 << 16)]
    lora_alpha: Alpha
    target_modules: Listed[str] | str | None = None
    target_parameters: Listed[str] | None = None
    use_rslora: bool = False
    use_dora: bool | None = False
    lora_bias: bool | None = False
    bias: str = "none"
    init_lora_weights: bool | str | None = True
    rank_pattern: Named[Rank] | None = None
    alpha_pattern: Named[Alpha] | None = None
    exclude_modules: Listed[str] | str | None = None
    layers_to_transform: Listed[int] | int | None = None
    layers_pattern: Listed[str] | str | None = None

    _patterns: PatternFields = PrivateAttr(default_factory=PatternFields)

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
        known = _WITHOUT_EFFECT | FEATURES.keys()
        extra = self.model_extra or {}
        unknown = tuple(sorted(name for name in extra if extra[name] and name not in known))
        if not unknown:
            return ()
        return (f"fields of adapter_config.json that are unknown here: {quoted(unknown)}",)

    def problems(self, modules: Iterable[str] = (), *, trusted: bool) -> Iterator[Reason]:
        """Return a reason for each value that makes no adapter, or has no meaning for `modules`."""
        if self.r < 1:
            yield Reason("rank_zero", f"r is {self.r}; a rank is at least 1")
        fields = (self.rank_pattern, self.alpha_pattern)
        yield from self._patterns.problems(fields, modules, trusted=trusted)

    def rank_of(self, module: str, *, trusted: bool) -> int:
        """Return the rank of `module`."""
        return int(self._patterns.of(self.rank_pattern, trusted=trusted).value(module) or self.r)

    def scale_of(self, module: str, rank: int, *, trusted: bool) -> float:
        """Return the factor of B A in `module`, whose factors have `rank`."""
        alpha = self._patterns.of(self.alpha_pattern, trusted=trusted).value(module)
        divisor = math.sqrt(rank) if self.use_rslora else rank
        return (self.lora_alpha if alpha is None else alpha) / divisor


def unserved_problems(
    config: Mapping[str, object], copies: Collection[str] = (), tensors: Collection[str] = ()
) -> Iterator[Reason]:
    """Return a reason for each feature that an engine cannot serve as plain LoRA.

    Modules that were to be trained as a whole are none if what was saved of them are the `copies`,
    tensors of the base that nobody has changed. Biases were trained only where the base has some.
    `tensors` are all of the base's; none if they are not known.
    """
    for field, (code, text) in FEATURES.items():
        if field == "modules_to_save" and _are_copies(config.get(field), copies, tensors):
            continue
        if field == "modules_to_save" and _are_foreign(config.get(field), tensors):
            yield Reason(code, f"{field} is {quoted(config[field])}: {_OTHER_CLASS}")
            continue
        if config.get(field):
            yield Reason(code, f"{field} is set: {text}")
    if config.get("bias", "none") != "none" and not _lacks_biases(config, tensors):
        text = f"biases are not served; retrain with bias='none', or {MERGE}"
        yield Reason("bias", f"bias is {quoted(config['bias'])}: {text}")


def _lacks_biases(config: Mapping[str, object], tensors: Collection[str]) -> bool:
    """Return whether a training of the base's biases trained none, as the base has none."""
    is_known = bool(tensors) and config["bias"] in _TRAINED_BIASES
    return is_known and not any(name.endswith(_BIAS) for name in tensors)


def _are_copies(modules: object, copies: Collection[str], tensors: Collection[str]) -> bool:
    """Return whether each of `modules` that the base has is there as a copy.

    PEFT takes them as ends of names, and for a classifier it names every head that there might be.
    """
    if not isinstance(modules, list) or _are_foreign(modules, tensors):
        return False
    present = [module for module in modules if not tensors or _has(tensors, module)]
    return all(_has(copies, module) for module in present)


def _has(tensors: Collection[str], module: object) -> bool:
    return any(tensor.rpartition(".")[0].endswith(str(module)) for tensor in tensors)


def _are_foreign(modules: object, tensors: Collection[str]) -> bool:
    """Return whether the base has none of `modules`, which PEFT takes as ends of names."""
    if not isinstance(modules, list) or not modules or not tensors:
        return False
    return not any(_has(tensors, module) for module in modules)


def unmergeable_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Return a reason for each feature that is not a known change of the base's weights."""
    for field, (code, advice) in FEATURES.items():
        if config.get(field) and field not in _MERGEABLE:
            text = "what it does is no change of the base's weights that is known here"
            yield Reason(code, f"{field} is set: {text}; {advice}")
