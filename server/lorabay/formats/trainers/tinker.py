"""Tinker: PEFT's names and formula, but for the head and the experts.

From thinking-machines-lab/tinker-cookbook, `tinker_cookbook/weights/_merge.py` and `_adapter.py`:
W' = W + lora_alpha / r * B A; `model.unembed_tokens` is the head; a tensor of `experts.w1`, `w3`
or `w2` has the factors of gate_proj, up_proj or down_proj for all experts, or one that they share;
`model.` is `model.language_model.` in a vision base, and `attn` is `self_attn` in gpt-oss. Experts
that the base keeps in one fused tensor are not read. An adapter without head and experts is
exactly PEFT's, and is served as it is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

from lorabay.base.shapes import HEAD
from lorabay.formats.config.config_fields import FIELDS, Alpha, Rank, parse
from lorabay.formats.tensor_names import missing_roles
from lorabay.formats.trainers.factors import as_updates, by_factor, expert, product, stored
from lorabay.reasons import Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import LowRank, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source, Updates
    from lorabay.formats.trainers.factors import Factor

RECOGNISED = re.compile(
    r"base_model\.model\..*(?:unembed_tokens|\.experts\.w[123])\.lora_[AB]\.weight"
)

_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.(?P<factor>lora_[AB])\.weight")
_FACTORS = ("lora_A", "lora_B")
_UNEMBEDDING = "model.unembed_tokens"
_EXPERTS = re.compile(r"(?P<block>.+)\.experts\.(?P<leaf>w[123])")
_EXPERT_LEAVES = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


class _Config(BaseModel):
    model_config = FIELDS

    r: Rank
    lora_alpha: Alpha


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module and for each expert."""
    config = parse(_Config, source.config)
    named = by_factor(source.tensors, _NAME)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *named.problems])

    reasons = [*named.problems]
    by_tensor: dict[str, tuple[Update, ...]] = {}
    scale = config.lora_alpha / config.r
    for name, tensors in named.modules.items():
        missing = [*missing_roles(name, dict(tensors), _FACTORS)]
        if missing:
            reasons += missing
            continue
        for module, made in _products(source, name, tensors, scale, base):
            if isinstance(made, Rejected):
                reasons += made.reasons
            else:
                by_tensor[f"{module}.weight"] = (made,)
    return as_updates("tinker", config.lora_alpha, by_tensor, reasons)


def _products(
    source: Source, name: str, tensors: Mapping[str, TensorInfo], scale: float, base: BaseShapes
) -> Iterator[tuple[str, LowRank | Rejected]]:
    """Yield each module of the base that the factors are for, with its product."""
    module = _in_base(name, base)
    for one, a, b in _pairs(source, module, tensors):
        yield one, product(one, a, b, scale, base)


def _pairs(
    source: Source, module: str, tensors: Mapping[str, TensorInfo]
) -> Iterator[tuple[str, Factor, Factor]]:
    a, b = (tensors[factor] for factor in _FACTORS)
    match = _EXPERTS.fullmatch(module)
    if match is None or len(a.shape) != 3 or len(b.shape) != 3:
        yield module, stored(source, a), stored(source, b)
        return

    # Placeholders for layers that the model does not have.
    if 0 in (*a.shape, *b.shape):
        return
    for number in range(max(a.shape[0], b.shape[0])):
        one = f"{match['block']}.experts.{number}.{_EXPERT_LEAVES[match['leaf']]}"
        yield one, expert(source, a, number), expert(source, b, number)


def _in_base(name: str, base: BaseShapes) -> str:
    """Return the name that the base gives to a module of Tinker's."""
    if name == _UNEMBEDDING:
        return HEAD
    if base.model_type == "gpt_oss":
        name = name.replace(".attn.", ".self_attn.")
    if any(module.startswith("model.language_model.") for module in base.shapes):
        name = name.replace("model.", "model.language_model.", 1)
    return name
