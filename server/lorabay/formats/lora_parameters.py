"""LoRA on bare parameters of a model: PEFT's `target_parameters`, the way to train experts.

The factors of all experts lie in one pair. With E experts of rank r, A is (E r, inputs) and expert
after expert, and B is (outputs, r E) and rank after rank: W'[e] = W[e] + s B[e] A[e], as PEFT's
`ParamWrapper` computes it. Wrappers of one module lie in one another, in the order in which the
model made its parameters, and their tensors are named by the depth: `experts.lora_A.weight` is the
last parameter's, `experts.base_layer.lora_A.weight` that of the one before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self

import numpy as np

from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.base.parameters import parameters, stores_inputs_first
from lorabay.formats.tensor_names import PREFIX, dtype_problems, missing_roles
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lorabay.algebra.updates import Matrix, Update
    from lorabay.base.parameters import Parameter
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.config.lora_config import LoraConfig
    from lorabay.formats.interface import Source
    from lorabay.formats.tensor_names import Roles

_ROLES = ("lora_A.weight", "lora_B.weight")
_WRAPPED = ".base_layer"

_MADE_IN_ORDER = (
    "gate_up_proj", "gate_up_proj_bias", "up_proj", "up_proj_bias", "down_proj", "down_proj_bias",
)  # fmt: skip
"""Parameters of transformers' experts, in the order in which a model makes them."""

_RECENT = 4
"""Factors that are kept: A and B of both parameters of one layer, whose experts are read in turn.
Else each of them would be read once for every expert."""


@dataclass(frozen=True, slots=True)
class ParameterUpdates:
    """LoRA on parameters: tensor of the base -> its updates, and the tensors that are left.

    `rank` is the largest of an expert, 0 without any.
    """

    by_tensor: Mapping[str, tuple[Update, ...]]
    rank: int
    rest: tuple[TensorInfo, ...]
    problems: tuple[Reason, ...]


def parameter_updates(source: Source, config: LoraConfig, base: BaseShapes) -> ParameterUpdates:
    """Take the tensors of `target_parameters` out of an adapter, and return what they do."""
    targets = config.target_parameters or ()
    if not targets:
        return ParameterUpdates({}, 0, source.tensors, ())

    targeted = _targeted(targets, base)
    sorting = _sorted(source.tensors, wrapper_names(targeted))
    # Patterns that cannot be used have no values.
    unusable = tuple(config.problems(targeted, trusted=source.trusted))
    if unusable:
        return ParameterUpdates({}, 0, tuple(sorting.rest), unusable)

    problems = [
        *_unknown_targets(targets, targeted),
        *_unordered(targeted),
        *_lost(targeted, sorting.pairs, base),
    ]

    by_tensor: dict[str, tuple[Update, ...]] = {}
    rank = 0
    factors = _Factors.of(source)
    for name, roles in sorting.pairs.items():
        pair = _pair(name, roles, targeted[name], config, base, trusted=source.trusted)
        if isinstance(pair, _Pair):
            rank = max(rank, pair.rank)
            by_tensor |= _updates(pair, targeted[name], factors)
        else:
            problems += pair
    return ParameterUpdates(by_tensor, rank, tuple(sorting.rest), tuple(problems))


def flat_a(a: Matrix) -> Matrix:
    """Return A (experts, rank, inputs) as a file has it: expert after expert."""
    return a.reshape(-1, a.shape[2])


def flat_b(b: Matrix) -> Matrix:
    """Return B (experts, outputs, rank) as a file has it: rank after rank."""
    return b.transpose(1, 2, 0).reshape(b.shape[1], -1)


def _targeted(targets: Sequence[str], base: BaseShapes) -> dict[str, Parameter]:
    """Return the parameters that `target_parameters` means: a whole name, or the end of one."""
    targeted: dict[str, Parameter] = {}
    for name, parameter in parameters(base).items():
        if any(name == target or name.endswith(f".{target}") for target in targets):
            targeted[name] = parameter
    return targeted


def wrapper_names(parameters: Iterable[str]) -> dict[str, str]:
    """Return the name of each parameter's wrapper in the adapter -> the parameter.

    `parameters` are all those that an adapter has LoRA on.
    """
    by_module: defaultdict[str, list[str]] = defaultdict(list)
    for name in parameters:
        by_module[name.rpartition(".")[0]].append(name)

    wrappers: dict[str, str] = {}
    for module, names in by_module.items():
        # The parameter that was made last is wrapped last, and lies outside.
        for depth, name in enumerate(sorted(names, key=_order, reverse=True)):
            wrappers[module + depth * _WRAPPED] = name
    return wrappers


def _order(name: str) -> int:
    leaf = name.rpartition(".")[2]
    return _MADE_IN_ORDER.index(leaf) if leaf in _MADE_IN_ORDER else len(_MADE_IN_ORDER)


@dataclass(slots=True)
class _Sorted:
    """The pair of each parameter, and the tensors of none."""

    pairs: dict[str, Roles] = field(default_factory=dict)
    rest: list[TensorInfo] = field(default_factory=list)


def _sorted(tensors: Sequence[TensorInfo], wrappers: Mapping[str, str]) -> _Sorted:
    sorting = _Sorted()
    for tensor in tensors:
        role = next((role for role in _ROLES if tensor.name.endswith(f".{role}")), "")
        wrapper = tensor.name.removeprefix(PREFIX).removesuffix(f".{role}")
        if role and wrapper in wrappers and tensor.name.startswith(PREFIX):
            sorting.pairs.setdefault(wrappers[wrapper], {})[role] = tensor
        else:
            sorting.rest.append(tensor)
    return sorting


def _unknown_targets(targets: Sequence[str], targeted: Mapping[str, Parameter]) -> Iterator[Reason]:
    """Check that each target is a parameter of the base."""
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in targeted):
            text = (
                f"target_parameters names {quoted(target)}, and the base has no such parameter; "
                "name the base that the adapter was trained on"
            )
            yield Reason("target_parameters", text)


def _unordered(targeted: Mapping[str, Parameter]) -> Iterator[Reason]:
    """Check that the depth of a wrapper says which parameter of its module it is for."""
    modules = Counter(name.rpartition(".")[0] for name in targeted)
    for name in targeted:
        module, _, leaf = name.rpartition(".")
        if modules[module] > 1 and leaf not in _MADE_IN_ORDER:
            text = (
                f"several parameters of {quoted(module)} are trained, {quoted(leaf)} among them, "
                "whose place is not known here; merge with PEFT (merge_and_unload)"
            )
            yield Reason("target_parameters", text)


def _lost(
    targeted: Mapping[str, Parameter], pairs: Mapping[str, Roles], base: BaseShapes
) -> Iterator[Reason]:
    """Check that no parameter that is a target lost its factors on the way here."""
    # A parameter may have two names: that of the files, and that of a newer class.
    found = [targeted[name] for name in pairs]
    for name, parameter in targeted.items():
        if parameter not in found and not base.is_unused(name):
            found.append(parameter)
            text = f"parameter {quoted(name)} is in target_parameters but has no weights"
            yield Reason("missing_tensor", text)


@dataclass(frozen=True, slots=True)
class _Pair:
    """The factors of one parameter. `rank` is that of each expert."""

    a: TensorInfo
    b: TensorInfo
    rank: int
    scale: float

    inputs_first: bool
    """Whether the change of an expert is the transpose of B A, as the base stores its matrix."""


def _pair(
    name: str,
    roles: Roles,
    parameter: Parameter,
    config: LoraConfig,
    base: BaseShapes,
    *,
    trusted: bool,
) -> _Pair | list[Reason]:
    """Return the factors of a parameter, or every reason why they do not fit it."""
    problems = [*missing_roles(name, roles, _ROLES)]
    for tensor in roles.values():
        problems += dtype_problems(tensor)
    if problems:
        return problems

    a, b = (roles[role] for role in _ROLES)
    rank = config.rank_of(name, trusted=trusted)
    count = rank * parameter.experts
    if len(a.shape) != 2 or len(b.shape) != 2 or (a.shape[0], b.shape[1]) != (count, count):
        text = (
            f"{quoted(a.name)} has shape {a.shape} and its B {b.shape}; with {parameter.experts} "
            f"experts of rank {rank} it takes {count} rows, and its B as many columns"
        )
        return [Reason("shape", text)]

    inputs_first = lies_inputs_first((b.shape[0], a.shape[1]), parameter, base)
    if inputs_first is None:
        text = (
            f"{quoted(a.name)} takes {a.shape[1]} inputs and its B gives {b.shape[0]} outputs; an "
            f"expert of the base is {parameter.shape[0]} by {parameter.shape[1]}"
        )
        return [Reason("shape", text)]
    return _Pair(a, b, rank, config.scale_of(name, rank, trusted=trusted), inputs_first)


def lies_inputs_first(
    change: tuple[int, int], parameter: Parameter, base: BaseShapes
) -> bool | None:
    """Return whether the base stores the transpose of B A; None if it stores neither.

    `change` is the shape of B A.
    """
    is_same = change == parameter.shape
    if parameter.is_packed:
        is_same = change[0] == parameter.shape[0]
    if parameter.is_plain:
        return False if is_same else None

    # A square matrix looks alike either way. Older versions of PEFT made the transpose for all.
    is_transpose = change[::-1] == parameter.shape
    if is_same and is_transpose:
        return stores_inputs_first(base) and parameter.tensor is not None
    return is_transpose if is_same or is_transpose else None


@dataclass(frozen=True, slots=True)
class _Factors:
    """Reads factors by expert."""

    read: Callable[[TensorInfo], Matrix]

    @classmethod
    def of(cls, source: Source) -> Self:
        @lru_cache(_RECENT)
        def read(tensor: TensorInfo) -> Matrix:
            return source.load(tensor)()

        return cls(read)

    def a(self, pair: _Pair) -> Matrix:
        """Return A as (experts, rank, inputs)."""
        values = self.read(pair.a)
        return values.reshape(-1, pair.rank, values.shape[1])

    def b(self, pair: _Pair) -> Matrix:
        """Return B as (experts, outputs, rank)."""
        values = self.read(pair.b)
        return values.reshape(len(values), pair.rank, -1).transpose(2, 0, 1)


def _updates(pair: _Pair, parameter: Parameter, factors: _Factors) -> dict[str, tuple[Update, ...]]:
    """Return the updates of the tensors in which the base holds a parameter."""
    if parameter.tensor is not None:
        if parameter.is_plain:
            return {parameter.tensor: (_of_expert(pair, factors, 0, slice(None)),)}
        return {parameter.tensor: (_stacked(pair, factors),)}

    by_tensor: dict[str, tuple[Update, ...]] = {}
    for matrix in parameter.matrices:
        outputs = slice(matrix.first, matrix.last)
        by_tensor[matrix.tensor] = (_of_expert(pair, factors, matrix.expert, outputs),)
    return by_tensor


def _of_expert(pair: _Pair, factors: _Factors, expert: int, rows: slice) -> LowRank:
    """Return the change of one expert's matrix, or of some of its rows."""

    def a() -> Matrix:
        values = factors.b(pair)[expert].T if pair.inputs_first else factors.a(pair)[expert]
        return np.ascontiguousarray(values)

    def b() -> Matrix:
        values = factors.a(pair)[expert].T if pair.inputs_first else factors.b(pair)[expert]
        return np.ascontiguousarray(values[rows])

    return LowRank(a, b, pair.rank, pair.scale)


def _stacked(pair: _Pair, factors: _Factors) -> ExpertProducts:
    return ExpertProducts(
        partial(factors.a, pair),
        partial(factors.b, pair),
        pair.rank,
        pair.scale,
        pair.inputs_first,
    )
