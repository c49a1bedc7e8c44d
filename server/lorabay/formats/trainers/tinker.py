"""Tinker: PEFT's names and formula, but for the head and the experts.

From thinking-machines-lab/tinker-cookbook, `tinker_cookbook/weights/_merge.py` and `_adapter.py`:
W' = W + lora_alpha / r * B A; `model.unembed_tokens` is the head; a tensor of `experts.w1`, `w3`
or `w2` has the factors of gate_proj, up_proj or down_proj for all experts, or one that they share;
names are those of a model for text in a vision base, too, and `attn` is `self_attn` in gpt-oss. An
adapter without head and experts is exactly PEFT's, and is served as it is.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from lorabay.base.shapes import HEAD
from lorabay.formats.config.config_fields import RankAndAlpha, parse
from lorabay.formats.tensor_names import missing_roles
from lorabay.formats.trainers.experts import DOWN, GATE, UP, ExpertPair, expert_updates
from lorabay.formats.trainers.factors import (
    Collected,
    by_factor,
    in_base,
    named_twice,
    product,
    stored,
)
from lorabay.formats.trainers.peft_fields import formula_problems
from lorabay.reasons import Rejected, rejected

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source, Updates

RECOGNISED = re.compile(
    r"base_model\.model\..*(?:unembed_tokens|\.experts\.w[123])\.lora_[AB]\.weight"
)

_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.(?P<factor>lora_[AB])\.weight")
_FACTORS = ("lora_A", "lora_B")
_UNEMBEDDING = "model.unembed_tokens"
_EXPERTS = re.compile(r"(?P<block>.+)\.experts\.(?P<leaf>w[123])")
_EXPERT_LEAVES = {"w1": GATE, "w2": DOWN, "w3": UP}
_EXPERT_DIMENSIONS = 3


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module and for each expert."""
    config = parse(RankAndAlpha, source.config)
    named = by_factor(source.tensors, _NAME)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *named.problems])

    scale = config.lora_alpha / config.r
    collected = Collected([*formula_problems(source.config, "Tinker"), *named.problems])
    layers: defaultdict[str, dict[str, ExpertPair]] = defaultdict(dict)
    for name, tensors in named.modules.items():
        missing = [*missing_roles(name, dict(tensors), _FACTORS)]
        if missing:
            collected.add(rejected(missing))
            continue

        match = _EXPERTS.fullmatch(name)
        a, b = (tensors[factor] for factor in _FACTORS)
        if match is not None and len(a.shape) == len(b.shape) == _EXPERT_DIMENSIONS:
            # Those of a layer that the model does not have are empty.
            if 0 not in (*a.shape, *b.shape):
                experts = _in_base(f"{match['block']}.experts", base)
                leaf = _EXPERT_LEAVES[match["leaf"]]
                if leaf in layers[experts]:
                    collected.reasons.append(named_twice(f"{experts}.{leaf}"))
                layers[experts][leaf] = ExpertPair(a, b)
            continue

        module = _in_base(name, base)
        made = product(module, stored(source, a), stored(source, b), scale, base)
        collected.add(made if isinstance(made, Rejected) else {f"{module}.weight": (made,)})

    for experts, pairs in layers.items():
        collected.add(expert_updates(source, experts, pairs, scale, base))
    return collected.as_updates("tinker", config.lora_alpha)


def _in_base(name: str, base: BaseShapes) -> str:
    """Return the name that the base gives to a module of Tinker's."""
    if name == _UNEMBEDDING:
        name = HEAD
    if base.model_type == "gpt_oss":
        name = name.replace(".attn.", ".self_attn.")
    return in_base(name, base)
