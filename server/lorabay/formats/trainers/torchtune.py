"""torchtune, `adapter_0.pt` or `adapter_model.pt`: W' = W + alpha / r * B A, with its own names.

From pytorch/torchtune: `modules/peft/lora.py` and `dora.py` have the formulas, and
`models/convert_weights.py` (`tune_to_peft_adapter_weights`) the names and the order of rows in
q_proj and k_proj, which is that of the weights themselves (`hf_to_tune`): reordered for Llama and
Mistral, and as it is for Qwen2 and Qwen3 (`qwen2_hf_to_tune`, `qwen3_hf_to_tune`). Magnitudes are
reordered with their rows. Rank and alpha come from `adapter_config.json`, which only torchtune's
Hugging Face checkpointer writes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.algebra.updates import Directional
from lorabay.formats.config.config_fields import RankAndAlpha, parse
from lorabay.formats.tensor_names import missing_roles, shape_problem
from lorabay.formats.trainers.factors import (
    Collected,
    by_factor,
    half_rotary,
    in_base,
    product,
    rotary_problems,
    stored,
)
from lorabay.formats.trainers.peft_fields import formula_problems
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source, Updates

RECOGNISED = re.compile(r"(?:layers\.\d+\..+|output)\.lora_[ab]\.weight")

CONFIG_ADVICE = (
    "only torchtune's Hugging Face checkpointer writes it; write one with the rank and alpha of "
    'the recipe: {"r": 8, "lora_alpha": 16}'
)

_NAME = re.compile(r"(?P<module>.+?)\.(?P<factor>lora_a|lora_b|magnitude)(?:\.weight)?")
_FACTORS = ("lora_a", "lora_b")
_MAGNITUDE = "magnitude"

_LEAVES = {
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "mlp.w1": "mlp.gate_proj",
    "mlp.w2": "mlp.down_proj",
    "mlp.w3": "mlp.up_proj",
}
_LAYER = re.compile(r"(?P<layer>layers\.\d+)\.(?P<leaf>.+)")
_ROTATED = (".q_proj", ".k_proj")

_IS_REORDERED = {"llama": True, "mistral": True, "qwen2": False, "qwen3": False}
"""`model_type` of a base -> whether torchtune keeps its heads' rows in another order."""


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module, or a DoRA where magnitudes were trained."""
    config = parse(RankAndAlpha, source.config)
    named = by_factor(source.tensors, _NAME)
    fields = formula_problems(source.config, "torchtune", read=("use_dora",))
    reasons = [*_base_problems(base), *fields, *named.problems]
    if isinstance(config, Rejected) or reasons:
        return rejected([*(config.reasons if isinstance(config, Rejected) else ()), *reasons])

    collected = Collected()
    for name, tensors in named.modules.items():
        collected.add(_module(source, config, name, tensors, base))
    return collected.as_updates("torchtune", config.lora_alpha)


def _base_problems(base: BaseShapes) -> list[Reason]:
    if base.model_type in _IS_REORDERED and base.head_size is not None:
        return []
    text = (
        f"how torchtune names and orders the weights of a {quoted(base.model_type)} base is not "
        "known here; save with its Hugging Face checkpointer, which writes a PEFT adapter"
    )
    return [Reason("foreign_format", text)]


def _module(
    source: Source,
    config: RankAndAlpha,
    name: str,
    tensors: Mapping[str, TensorInfo],
    base: BaseShapes,
) -> dict[str, tuple[Update, ...]] | Rejected:
    known = _in_transformers(name)
    module = None if known is None else in_base(known, base)
    reasons = [*missing_roles(name, dict(tensors), _FACTORS)]
    if module is None:
        text = f"{quoted(name)} is no module of torchtune's that is known here"
        reasons.append(Reason("module_not_in_base", text))
    if module is None or reasons:
        return rejected(reasons)

    a, b = (stored(source, tensors[factor]) for factor in _FACTORS)
    rank = a.shape[0] if a.shape else 0
    if rank != config.r:
        text = f"{quoted(a.name)} has rank {rank}, the config says {config.r}"
        reasons.append(Reason("rank", text))
    reordered = module.endswith(_ROTATED) and _IS_REORDERED[base.model_type or ""]
    head_size = base.head_size or 0
    if reordered:
        reasons += rotary_problems(b, head_size)
        b = half_rotary(b, head_size)
    if reasons:
        return rejected(reasons)

    made = product(module, a, b, config.lora_alpha / config.r, base)
    if isinstance(made, Rejected) or _MAGNITUDE not in tensors:
        return made if isinstance(made, Rejected) else {f"{module}.weight": (made,)}

    problems = tuple(shape_problem(tensors[_MAGNITUDE], (b.shape[0],)))
    if problems:
        return rejected(problems)
    magnitude = stored(source, tensors[_MAGNITUDE])
    if reordered:
        magnitude = half_rotary(magnitude, head_size)
    return {f"{module}.weight": (Directional(made, magnitude.load),)}


def _in_transformers(name: str) -> str | None:
    """Return the name that transformers gives to a module of torchtune's."""
    if name == "output":
        return "lm_head"
    match = _LAYER.fullmatch(name)
    leaf = None if match is None else _LEAVES.get(match["leaf"])
    return None if match is None or leaf is None else f"model.{match['layer']}.{leaf}"
