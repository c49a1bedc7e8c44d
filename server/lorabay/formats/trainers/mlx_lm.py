"""mlx-lm, `adapters.safetensors`: W' = W + scale * (lora_a lora_b)^T, DoRA and experts included.

From ml-explore/mlx-lm, `mlx_lm/tuner/lora.py` and `dora.py`: `LoRALinear.fuse` adds
`scale * lora_b.T @ lora_a.T`, `DoRALinear.fuse` then scales row i by `m[i] / ||row i||`,
`LoRAEmbedding.fuse` adds `scale * lora_a @ lora_b`, and `LoRASwitchLinear.fuse` adds
`scale * lora_b[e] @ lora_a[e]` for expert e. `scale` is `lora_parameters.scale` of the config.
Earlier versions (in ml-explore/mlx-examples) multiplied it by alpha / rank and later ones ignore
alpha, so a config that has an alpha means one of two things, and is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from pydantic import BaseModel

from lorabay.algebra.updates import Directional
from lorabay.base.shapes import HEAD, is_embedding
from lorabay.formats.config.config_fields import FIELDS, Alpha, parse
from lorabay.formats.tensor_names import missing_roles, shape_problem, unexpected
from lorabay.formats.trainers.experts import DOWN, GATE, UP, ExpertPair, expert_updates
from lorabay.formats.trainers.factors import (
    Collected,
    by_factor,
    in_base,
    named_twice,
    product,
    stored,
)
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source, Updates

    Tensors = Mapping[str, TensorInfo]

RECOGNISED = re.compile(r".+\.lora_[ab]")

_NAME = re.compile(r"(?P<module>.+)\.(?P<factor>lora_a|lora_b|m)")
_EXPERT_DIMENSIONS = 3
_EXPERTS = re.compile(rf"(?P<block>.+)\.(?:switch_mlp|experts)\.(?P<leaf>{GATE}|{UP}|{DOWN})")
"""Layers of all experts; gpt-oss's class there has another name for them than the others."""


class _Parameters(BaseModel):
    model_config = FIELDS

    rank: int
    scale: Alpha
    alpha: Alpha | None = None


class _Config(BaseModel):
    model_config = FIELDS

    lora_parameters: _Parameters
    fine_tune_type: str = "lora"


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module, or a DoRA where magnitudes were trained."""
    config = parse(_Config, source.config)
    named = by_factor(source.tensors, _NAME)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *named.problems])

    scale = config.lora_parameters.scale
    collected = Collected([*_ambiguities(config), *named.problems])
    layers: defaultdict[str, dict[str, ExpertPair]] = defaultdict(dict)
    for name, tensors in named.modules.items():
        match = _EXPERTS.fullmatch(name)
        problems = [*_unfit(name, tensors, config, has_experts=match is not None)]
        if problems:
            collected.add(rejected(problems))
        elif match is not None and len(tensors["lora_a"].shape) == _EXPERT_DIMENSIONS:
            experts = in_base(f"{match['block']}.experts", base)
            if match["leaf"] in layers[experts]:
                collected.reasons.append(named_twice(f"{experts}.{match['leaf']}"))
            layers[experts][match["leaf"]] = ExpertPair(tensors["lora_a"], tensors["lora_b"])
        else:
            collected.add(_module(source, config, in_base(name, base), tensors, base))
    for experts, pairs in layers.items():
        collected.add(expert_updates(source, experts, pairs, scale, base))

    # mlx-lm applies LoRA on an embedding to the head, too, where the two are tied.
    embedding = next(filter(is_embedding, base.shapes), None)
    shared = collected.by_tensor.get(f"{embedding}.weight")
    if base.tied and shared is not None:
        collected.add({f"{HEAD}.weight": shared})
    return collected.as_updates("mlx-lm", scale)


def _ambiguities(config: _Config) -> list[Reason]:
    parameters = config.lora_parameters
    if parameters.alpha is None or parameters.alpha == parameters.rank:
        return []
    text = (
        "lora_parameters has both scale and alpha, which versions of mlx-lm read differently: "
        f"write the factor as scale (early versions: {parameters.scale:g} * "
        f"{parameters.alpha:g} / {parameters.rank}), and take alpha out"
    )
    return [Reason("config_field", f"adapter_config.json: {text}")]


def _unfit(name: str, tensors: Tensors, config: _Config, *, has_experts: bool) -> Iterator[Reason]:
    """Return why the tensors of a module make no update of any base."""
    wanted = {"lora_a", "lora_b"} | ({"m"} if config.fine_tune_type == "dora" else set())
    lacking = [*missing_roles(name, dict(tensors), wanted)]
    yield from lacking
    yield from (unexpected(tensors[factor]) for factor in sorted(tensors.keys() - wanted))

    if lacking or len(tensors["lora_a"].shape) != _EXPERT_DIMENSIONS:
        return
    a, b = tensors["lora_a"], tensors["lora_b"]
    if not has_experts or len(b.shape) != _EXPERT_DIMENSIONS or 0 in (*a.shape, *b.shape):
        text = f"{quoted(a.name)} has shape {a.shape} and its lora_b {b.shape}; no layer of "
        yield Reason("shape", f"{text}experts with such factors is known")


def _module(
    source: Source, config: _Config, module: str, tensors: Tensors, base: BaseShapes
) -> dict[str, tuple[Update, ...]] | Rejected:
    """Return the update of one module."""
    first, second = (stored(source, tensors[factor]) for factor in ("lora_a", "lora_b"))
    if is_embedding(module):
        a, b = second, first
    else:
        a, b = first.transposed, second.transposed

    made = product(module, a, b, config.lora_parameters.scale, base)
    if isinstance(made, Rejected) or "m" not in tensors:
        return made if isinstance(made, Rejected) else {f"{module}.weight": (made,)}

    problems = [*shape_problem(tensors["m"], (b.shape[0],))]
    if is_embedding(module) or base.is_conv1d(module):
        text = f"DoRA on {quoted(module)} is not read; train that module with LoRA"
        problems.append(Reason("dora", text))
    if problems:
        return rejected(problems)
    return {f"{module}.weight": (Directional(made, source.load(tensors["m"])),)}
