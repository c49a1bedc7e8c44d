"""LoRA with everything that PEFT lets it carry, as updates: rsLoRA, DoRA, patterns, embeddings and
head, biases, Conv1D layers, and adapters that took a part of the base into their factors (PiSSA,
OLoRA, CorDA) when that part is at hand.

LoRA+, LoRA-FA and QLoRA only train differently; on disk they are plain LoRA.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, Directional, LowRank, PeftLayer
from lorabay.base.shapes import is_embedding
from lorabay.formats.interface import Updates
from lorabay.formats.lora_config import (
    LoraConfig,
    config_problems,
    init_problems,
    parse_config,
    unmergeable_problems,
)
from lorabay.formats.patterns import coverage_problems
from lorabay.formats.pissa import without_initial
from lorabay.formats.tensor_names import by_module, missing_roles, product_problems, shape_problem
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_A, _B, _BIAS, _MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_magnitude_vector"
_EMBEDDING_A, _EMBEDDING_B = "lora_embedding_A", "lora_embedding_B"
_HEAD = "lm_head"
_ROLES = (_A, _B, _BIAS, _MAGNITUDE, _EMBEDDING_A, _EMBEDDING_B)


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    config = parse_config(source.config)
    if isinstance(config, Rejected):
        return config
    found = _stored(source, config, base)
    if isinstance(found, Rejected) or f"{_HEAD}.weight" in found.by_tensor:
        return found
    update = found.by_tensor.get(f"{_followed(source, config, base)}.weight")
    return (
        found
        if update is None
        else replace(found, by_tensor={**found.by_tensor, f"{_HEAD}.weight": update})
    )


def _stored(source: Source, config: LoraConfig, base: BaseShapes) -> Updates | Rejected:
    """What the stored tensors do, without a head that follows its embedding."""
    sorted_tensors = by_module(source.tensors, _ROLES, base)
    modules = dict(sorted_tensors.modules)
    reasons = [
        *config_problems(config, trusted=source.trusted),
        *unmergeable_problems(source.config),
    ]
    reasons += [*sorted_tensors.problems, *coverage_problems(source.config, modules, base)]
    initial = _initial(source, base)
    if isinstance(initial, Rejected):
        reasons += initial.reasons
    elif initial is None and not source.residual_base:
        reasons += init_problems(source.config)
    if not reasons and _followed(source, config, base) in modules:
        modules.pop(_HEAD, None)
    if not reasons:
        reasons += [
            reason
            for module in modules
            for reason in _problems(source, config, module, modules[module], base)
        ]
    if reasons or isinstance(initial, Rejected):
        return rejected(reasons)
    by_tensor: dict[str, tuple[Update, ...]] = {}
    for module, roles in modules.items():
        by_tensor |= _module_updates(source, config, module, roles, base)
    found = Updates(_name(config), _rank(modules), config.lora_alpha, by_tensor, _warnings(config))
    return found if initial is None else without_initial(found, initial)


def _followed(source: Source, config: LoraConfig, base: BaseShapes) -> str | None:
    """The embedding whose update a tied head shares, where the embedding has one.

    PEFT stores the head's factors, turned, as well. They make another update where patterns give
    the head another rank or alpha, and with DoRA, whose norms are by row in one and by column in
    the other.
    """
    embedding = next(filter(is_embedding, base.shapes), None)
    if (
        embedding is None
        or not base.tied
        or not source.config.get("ensure_weight_tying")
        or config.use_dora
    ):
        return None
    ranks = [config.rank_of(module, trusted=source.trusted) for module in (embedding, _HEAD)]
    scales = [
        config.scale_of(module, ranks[0], trusted=source.trusted) for module in (embedding, _HEAD)
    ]
    return embedding if ranks[0] == ranks[1] and scales[0] == scales[1] else None


def _initial(source: Source, base: BaseShapes) -> Updates | Rejected | None:
    """What the initialisation took out of the base."""
    if source.initial is None or not any(init_problems(source.config)):
        return None
    fields = {**source.initial.config, "init_lora_weights": True}
    config = parse_config(fields)
    return (
        config
        if isinstance(config, Rejected)
        else _stored(replace(source.initial, config=fields), config, base)
    )


def _problems(
    source: Source, config: LoraConfig, module: str, roles: Roles, base: BaseShapes
) -> Iterator[Reason]:
    a_role, b_role = (_EMBEDDING_A, _EMBEDDING_B) if _EMBEDDING_A in roles else (_A, _B)
    wanted = (
        a_role,
        b_role,
        *([_MAGNITUDE] if config.use_dora else ()),
        *([_BIAS] if config.lora_bias else ()),
    )
    allowed = {a_role, b_role, *([_MAGNITUDE] if config.use_dora else ()), _BIAS}
    yield from missing_roles(module, roles, wanted)
    for role in sorted(roles.keys() - allowed):
        yield Reason("unexpected_tensor", f"unexpected tensor {quoted(roles[role].name)}")
    if not roles.keys() >= set(wanted):
        return
    a, b = roles[a_role], roles[b_role]
    rank = config.rank_of(module, trusted=source.trusted)
    if (
        len(a.shape) != 2
        or len(b.shape) != 2
        or 0 in (*a.shape, *b.shape)
        or a.shape[0] != b.shape[1]
    ):
        yield Reason(
            "shape",
            f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; they make no product",
        )
        return
    if a.shape[0] != rank:
        yield Reason("rank", f"{quoted(a.name)} has rank {a.shape[0]}, the config says {rank}")
    outputs, inputs = b.shape[0], a.shape[1]
    shape = base.layer_shape(module)
    if shape is not None and a_role == _EMBEDDING_A:
        shape = shape[::-1]
    yield from product_problems(module, outputs, inputs, shape)
    for role in {_MAGNITUDE, _BIAS} & roles.keys():
        yield from shape_problem(roles[role], (outputs,))
    if _BIAS in roles and f"{module}.bias" not in base.tensors:
        yield Reason(
            "bias", f"lora_bias is set, and the base has no bias in {quoted(module)} to add it to"
        )


def _module_updates(
    source: Source, config: LoraConfig, module: str, roles: Roles, base: BaseShapes
) -> dict[str, tuple[Update, ...]]:
    embedding = _EMBEDDING_A in roles
    a, b = (roles[role] for role in ((_EMBEDDING_A, _EMBEDDING_B) if embedding else (_A, _B)))
    scale = config.scale_of(module, a.shape[0], trusted=source.trusted)
    product = LowRank(source.load(a), source.load(b), a.shape[0], scale)
    transposed = embedding or base.is_conv1d(module)
    if transposed:
        product = product.transposed
    update: Update = product
    if _MAGNITUDE in roles:
        names = tuple(tensor.name for tensor in roles.values())
        update = (
            PeftLayer(module, names)
            if transposed
            else Directional(product, source.load(roles[_MAGNITUDE]))
        )
    found: dict[str, tuple[Update, ...]] = {f"{module}.weight": (update,)}
    if _BIAS in roles:
        found[f"{module}.bias"] = (Dense(_scaled(source.load(roles[_BIAS]), scale)),)
    return found


def _scaled(load: Load, scale: float) -> Load:
    def scaled() -> NDArray[np.float32]:
        return load() * np.float32(scale)

    return scaled


def _name(config: LoraConfig) -> str:
    return "dora" if config.use_dora else "rslora" if config.use_rslora else "lora"


def _rank(modules: Mapping[str, Roles]) -> int:
    return max(
        tensor.shape[0]
        for roles in modules.values()
        for role, tensor in roles.items()
        if role in {_A, _EMBEDDING_A}
    )


def _warnings(config: LoraConfig) -> tuple[str, ...]:
    if not config.unknown:
        return ()
    return (f"fields of adapter_config.json that are unknown here: {quoted(config.unknown)}",)
