"""LoRA (Hu et al. 2021) with everything that PEFT lets it carry: W' = W + s B A.

`updates` reads rsLoRA, DoRA, patterns, embeddings and head, biases, Conv1D layers, bare parameters,
and adapters that took a part of the base into their factors (PiSSA, OLoRA, CorDA) when that part is
at hand. `plain_updates` reads what an engine can serve without this program's help. LoRA+, LoRA-FA
and QLoRA only train differently, and so does MonteCLoRA; on disk they are plain LoRA.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Dense, Directional, LowRank, PeftLayer
from lorabay.base.shapes import HEAD, is_embedding
from lorabay.formats.config.config_fields import coverage_problems, parse
from lorabay.formats.config.lora_config import LoraConfig, unmergeable_problems, unserved_problems
from lorabay.formats.interface import Scaling, Updates
from lorabay.formats.lora_parameters import ParameterUpdates, parameter_updates
from lorabay.formats.pissa import init_problems, without_initial
from lorabay.formats.tensor_names import (
    PREFIX,
    ModuleTensors,
    by_module,
    missing_roles,
    shape_problem,
    unexpected,
)
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from lorabay.algebra.updates import Load, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_LINEAR = ("lora_A.weight", "lora_B.weight")
_EMBEDDING = ("lora_embedding_A", "lora_embedding_B")
_BIAS, _MAGNITUDE = "lora_B.bias", "lora_magnitude_vector"
_ROLES = (*_LINEAR, *_EMBEDDING, _BIAS, _MAGNITUDE)

_NAMED = re.compile(r"\.lora_[AB]\.\w+\.weight$")

_NO_ADAPTER = Reason(
    "whole_model",
    "the safetensors file holds the base's own tensors and no LoRA: it is the model, saved under "
    "the adapter's name; save the adapter with PEFT's save_pretrained",
)

_SAMPLER = ".lora_monteclora_sampler."
"""Marks what MonteCLoRA draws its noise from, while it trains."""


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return the updates of any LoRA, exact on the base that `source` says it is for."""
    reasons = [*unmergeable_problems(source.config)]
    initial = _initial(source, base)
    if isinstance(initial, Rejected):
        reasons += initial.reasons
    elif initial is None and not source.residual_base:
        reasons += init_problems(source.config)

    # The tensors are read even if the config is refused, so that all reasons are reported.
    adapter = _read(source, base)
    if isinstance(adapter, Rejected):
        return rejected([*reasons, *adapter.reasons])
    if isinstance(initial, Rejected) or reasons:
        return rejected(reasons)

    by_tensor: Mapping[str, tuple[Update, ...]] | Rejected = adapter.by_tensor
    if initial is not None:
        by_tensor = without_initial(adapter.by_tensor, initial)
    if isinstance(by_tensor, Rejected):
        return by_tensor

    # A head that shares its embedding's factors gets the very same update: the two stay tied.
    shared = by_tensor.get(f"{adapter.followed}.weight")
    if shared is not None:
        by_tensor = {**by_tensor, f"{HEAD}.weight": shared}
    return adapter.as_updates(by_tensor)


def plain_updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return the updates of a LoRA that an engine serves as it is: one product per module.

    Whatever plain LoRA cannot express is a problem.
    """
    # The head of a tied base is no tensor of its own.
    known = {*base.tensors, f"{HEAD}.weight"} if base.tensors else ()
    features = unserved_problems(source.config, source.copies, known)
    reasons = [*features, *init_problems(source.config)]
    for tensor in source.tensors:
        reasons += _embedding_problems(tensor)

    # Features are problems already; the tensors that they need are not reported as missing.
    config = {**source.config, "use_dora": False, "lora_bias": False}
    plain = replace(source, config=config)
    adapter = _read(plain, base, (*_LINEAR, *_EMBEDDING), _not_plain)
    if isinstance(adapter, Rejected):
        reasons += adapter.reasons
    if isinstance(adapter, Rejected) or reasons:
        return rejected(reasons)

    own = adapter.as_updates(adapter.own)
    return replace(own, warnings=(*_plain_warnings(source, base), *own.warnings))


@dataclass(frozen=True, slots=True)
class _Adapter:
    """A checked adapter: its config, and what the stored tensors of each module do.

    `followed` is the embedding whose update a tied head shares, if there is one.
    """

    config: LoraConfig
    rank: int
    own: Mapping[str, tuple[Update, ...]]
    followed: str | None

    @property
    def by_tensor(self) -> Mapping[str, tuple[Update, ...]]:
        """The updates without the factors of a head that shares its embedding's."""
        if f"{self.followed}.weight" not in self.own:
            return self.own
        return {name: update for name, update in self.own.items() if name != f"{HEAD}.weight"}

    def as_updates(self, by_tensor: Mapping[str, tuple[Update, ...]]) -> Updates:
        config = self.config
        scaling = None if config.patterns else Scaling(config.lora_alpha, config.use_rslora)
        return Updates(
            format=config.variant,
            rank=self.rank,
            alpha=config.lora_alpha,
            by_tensor=by_tensor,
            warnings=config.warnings,
            scaling=scaling,
        )


def _read(
    source: Source,
    base: BaseShapes,
    roles: tuple[str, ...] = _ROLES,
    explain: Callable[[TensorInfo], Reason] = unexpected,
) -> _Adapter | Rejected:
    """Check config and tensors, and return what the tensors do on the base they were trained on."""
    config = parse(LoraConfig, source.config)
    weights = tuple(tensor for tensor in source.tensors if _SAMPLER not in tensor.name)
    source = replace(source, tensors=weights)

    parameters = ParameterUpdates({}, 0, weights, ())
    if not isinstance(config, Rejected):
        parameters = parameter_updates(source, config, base)
    # An adapter may be on parameters alone.
    by_role = ModuleTensors({}, ())
    if source.copies and not weights:
        by_role = ModuleTensors({}, (_NO_ADAPTER,))
    elif parameters.rest or not weights:
        by_role = by_module(parameters.rest, roles, base, explain, "LoRA tensors")
    modules = by_role.modules

    reasons = [*by_role.problems, *parameters.problems]
    for module, tensors in modules.items():
        reasons += _pair_problems(module, tensors, base)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])

    # A tied head is asked for beside its embedding (`_followed`).
    named = [*modules, *filter(is_embedding, base.shapes), HEAD]
    reasons += config.problems(named, trusted=source.trusted)
    reasons += coverage_problems(source.config, modules, base)
    # With a sound config and pairs, the rest can be held against them.
    if not reasons:
        for module, tensors in modules.items():
            reasons += _module_problems(source, config, module, tensors, base)
    if reasons:
        return rejected(reasons)

    # Everything fits: what remains cannot fail.
    own: dict[str, tuple[Update, ...]] = dict(parameters.by_tensor)
    ranks = [parameters.rank]
    for module, tensors in modules.items():
        own |= _module_updates(source, config, module, tensors, base)
        ranks.append(tensors[_pair(module, tensors)[0]].shape[0])
    return _Adapter(config, max(ranks), own, _followed(source, config, base))


def _initial(
    source: Source, base: BaseShapes
) -> Mapping[str, tuple[Update, ...]] | Rejected | None:
    """Return what the initialisation took out of the base, if that is known and needed."""
    if source.initial is None or not any(init_problems(source.config)):
        return None
    adapter = _read(source.initial, base)
    return adapter if isinstance(adapter, Rejected) else adapter.by_tensor


def _followed(source: Source, config: LoraConfig, base: BaseShapes) -> str | None:
    """Return the embedding whose update a tied head shares.

    PEFT stores the head's factors, transposed, as well. They are another update if patterns give
    the head its own rank or alpha. With DoRA they are one, too: its norms are by row in the head
    and by column in the embedding.
    """
    embedding = next(filter(is_embedding, base.shapes), None)
    asked = source.config.get("ensure_weight_tying")
    if embedding is None or not base.tied or not asked or config.use_dora:
        return None

    # Patterns may name one of the two alone.
    rank = config.rank_of(embedding, trusted=source.trusted)
    if config.rank_of(HEAD, trusted=source.trusted) != rank:
        return None
    scale = config.scale_of(embedding, rank, trusted=source.trusted)
    same = config.scale_of(HEAD, rank, trusted=source.trusted) == scale
    return embedding if same else None


def _pair(module: str, roles: Roles) -> tuple[str, str]:
    """Return the roles of a module's A and B."""
    return _EMBEDDING if is_embedding(module) or _EMBEDDING[0] in roles else _LINEAR


def _pair_problems(module: str, roles: Roles, base: BaseShapes) -> Iterator[Reason]:
    """Check that A and B are there and make a product in the shape of the weight."""
    wanted = _pair(module, roles)
    factors = {role: tensor for role, tensor in roles.items() if role in (*_LINEAR, *_EMBEDDING)}
    if factors.keys() != set(wanted):
        names = ", ".join(quoted(tensor.name) for tensor in (factors or roles).values())
        text = f"{names} is not a whole pair of A and B; save the adapter again"
        yield Reason("missing_tensor", text)
        return

    a, b = (factors[role] for role in wanted)
    shapes = f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}"
    if 0 in (*a.shape, *b.shape):
        text = (
            f"{shapes}; no dimension may be 0: DeepSpeed ZeRO-3 saves that where the weights are "
            "not gathered; save the adapter again, gathered"
        )
        yield Reason("rank_zero", text)
        return
    if len(a.shape) != 2 or len(b.shape) != 2:
        yield Reason("shape", f"{shapes}; both must be matrices")
        return
    if a.shape[0] != b.shape[1]:
        text = f"{quoted(a.name)} has rank {a.shape[0]}, its B has rank {b.shape[1]}"
        yield Reason("shape", text)
        return

    # PEFT stores an embedding's factors for its transpose.
    shape = base.layer_shape(module)
    expected = shape[::-1] if shape is not None and wanted == _EMBEDDING else shape
    if expected is not None and (b.shape[0], a.shape[1]) != expected:
        outputs, inputs = expected
        text = (
            f"{quoted(a.name)} takes {a.shape[1]} inputs and its B gives {b.shape[0]} outputs; "
            f"the base has {inputs} and {outputs}"
        )
        yield Reason("shape", text)


def _module_problems(
    source: Source, config: LoraConfig, module: str, roles: Roles, base: BaseShapes
) -> Iterator[Reason]:
    """Check a module whose A and B are sound against the config."""
    a, b = (roles[role] for role in _pair(module, roles))
    rank = config.rank_of(module, trusted=source.trusted)
    if a.shape[0] != rank:
        yield Reason("rank", f"{quoted(a.name)} has rank {a.shape[0]}, the config says {rank}")

    wanted = [_MAGNITUDE] if config.use_dora else []
    wanted += [_BIAS] if config.lora_bias else []
    yield from missing_roles(module, roles, wanted)
    if _MAGNITUDE in roles and not config.use_dora:
        yield unexpected(roles[_MAGNITUDE])
    for role in (_MAGNITUDE, _BIAS):
        if role in roles:
            yield from shape_problem(roles[role], (b.shape[0],))
    if _BIAS in roles and f"{module}.bias" not in base.tensors:
        text = f"lora_bias is set, and the base has no bias in {quoted(module)} to add it to"
        yield Reason("bias", text)


def _module_updates(
    source: Source, config: LoraConfig, module: str, roles: Roles, base: BaseShapes
) -> dict[str, tuple[Update, ...]]:
    """Return the updates of one module's weight and bias."""
    pair = _pair(module, roles)
    a, b = (roles[role] for role in pair)
    scale = config.scale_of(module, a.shape[0], trusted=source.trusted)
    product = LowRank(source.load(a), source.load(b), a.shape[0], scale)

    is_transposed = pair == _EMBEDDING or base.is_conv1d(module)
    if is_transposed:
        product = product.transposed

    update: Update = product
    if _MAGNITUDE in roles and is_transposed:
        # DoRA's norms are not by row here, as Directional has them.
        update = PeftLayer(module, tuple(map(source.stored_name, roles.values())))
    elif _MAGNITUDE in roles:
        update = Directional(product, source.load(roles[_MAGNITUDE]))

    by_tensor: dict[str, tuple[Update, ...]] = {f"{module}.weight": (update,)}
    if _BIAS in roles:
        by_tensor[f"{module}.bias"] = (Dense(_scaled(source.load(roles[_BIAS]), scale)),)
    return by_tensor


def _scaled(load: Load, scale: float) -> Load:
    def scaled() -> NDArray[np.float32]:
        return load() * np.float32(scale)

    return scaled


def _not_plain(tensor: TensorInfo) -> Reason:
    """Return why a tensor has no place in plain LoRA."""
    hint = "only lora_A and lora_B weights are served"
    if _MAGNITUDE in tensor.name:
        hint = "it belongs to DoRA"
    elif _NAMED.search(tensor.name):
        hint = "the adapter's name is still in it; save with PEFT's save_pretrained"
    return unexpected(tensor, hint)


def _embedding_problems(tensor: TensorInfo) -> Iterator[Reason]:
    """Check that the engine knows a module with an embedding's factors as an embedding."""
    module, _, role = tensor.name.removeprefix(PREFIX).rpartition(".")
    if role in _EMBEDDING and not is_embedding(module):
        text = f"{quoted(tensor.name)} is not a whole pair of A and B; save the adapter again"
        yield Reason("missing_tensor", text)


def _plain_warnings(source: Source, base: BaseShapes) -> Iterator[str]:
    targets = source.config.get("target_modules")
    if isinstance(targets, list):
        absent = sorted(set(targets) - base.tails.keys())
        if absent:
            yield f"target_modules names modules that the base does not have: {quoted(absent)}"
