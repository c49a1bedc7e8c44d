"""mistral-finetune, `lora.safetensors`: W' = W + scaling * B A, with Mistral's own names.

From mistralai/mistral-finetune: `model/lora.py` (`LoRALinear.merge_weight`) has the formula, and
`finetune/checkpointing.py` writes `params.json`, whose `lora.scaling` is the factor; it is not
divided by the rank. Names and the order of rows in wq and wk are mapped as transformers'
`convert_mistral_weights_to_hf.py` maps the base's own weights.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

from lorabay.formats.config.config_fields import FIELDS, Alpha, parse
from lorabay.formats.tensor_names import missing_roles
from lorabay.formats.trainers.factors import (
    Collected,
    by_factor,
    half_rotary,
    in_base,
    product,
    rotary_problems,
    stored,
)
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source, Updates

CONFIG_FILE = "params.json"

RECOGNISED = re.compile(r"layers\.\d+\.(?:attention|feed_forward)\..*w[qkvo123]\.lora_[AB]\.weight")

_NAME = re.compile(r"(?P<module>.+)\.(?P<factor>lora_[AB])\.weight")
_FACTORS = ("lora_A", "lora_B")

_MODULE = re.compile(r"(?P<layer>layers\.\d+)\.(?P<part>attention|feed_forward)\.(?P<leaf>.+)")
_LEAVES = {
    "attention.wq": "self_attn.q_proj",
    "attention.wk": "self_attn.k_proj",
    "attention.wv": "self_attn.v_proj",
    "attention.wo": "self_attn.o_proj",
    "feed_forward.w1": "mlp.gate_proj",
    "feed_forward.w2": "mlp.down_proj",
    "feed_forward.w3": "mlp.up_proj",
}
_ROTATED = frozenset({"attention.wq", "attention.wk"})
_EXPERT = re.compile(r"experts\.\d+\.w[123]")


class _Lora(BaseModel):
    model_config = FIELDS

    scaling: Alpha


class _Params(BaseModel):
    model_config = FIELDS

    head_dim: int
    lora: _Lora


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module."""
    params = parse(_Params, source.config, CONFIG_FILE)
    named = by_factor(source.tensors, _NAME)
    if isinstance(params, Rejected):
        return rejected([*params.reasons, *named.problems])

    collected = Collected(named.problems)
    for name, tensors in named.modules.items():
        module = _in_transformers(name)
        problems = [*missing_roles(name, dict(tensors), _FACTORS)]
        if module is None:
            text = f"{quoted(name)} is no module of Mistral's own code that is known here"
            problems.append(Reason("module_not_in_base", text))
        if module is None or problems:
            collected.add(rejected(problems))
            continue

        a, b = (stored(source, tensors[factor]) for factor in _FACTORS)
        if name.partition(".")[2].partition(".")[2] in _ROTATED:
            collected.reasons += rotary_problems(b, params.head_dim)
            b = half_rotary(b, params.head_dim)
        module = in_base(module, base)
        made = product(module, a, b, params.lora.scaling, base)
        collected.add(made if isinstance(made, Rejected) else {f"{module}.weight": (made,)})
    return collected.as_updates("mistral-finetune", params.lora.scaling)


def _in_transformers(name: str) -> str | None:
    """Return the name that transformers gives to a module of Mistral's code."""
    match = _MODULE.fullmatch(name)
    if match is None:
        return None
    if match["part"] == "feed_forward" and _EXPERT.fullmatch(match["leaf"]):
        return f"model.{match['layer']}.block_sparse_moe.{match['leaf']}"
    leaf = _LEAVES.get(f"{match['part']}.{match['leaf']}")
    return None if leaf is None else f"model.{match['layer']}.{leaf}"
