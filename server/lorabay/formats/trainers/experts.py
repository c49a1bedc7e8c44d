"""LoRA on the experts of a mixture as other trainers have it: a pair for each matrix of an expert.

A is (experts, rank, inputs) and B (experts, outputs, rank); a factor for one expert is shared by
all. The base's files hold the matrices of single experts, or those of all experts in one tensor.
Such a tensor has gate_proj and up_proj one below the other, or row by row in turns as gpt-oss has
them; then both pairs become one, of the sum of their ranks. Knows no trainer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import ExpertProducts
from lorabay.base.parameters import parameters
from lorabay.formats.lora_parameters import lies_inputs_first
from lorabay.formats.trainers.factors import expert, product
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import Matrix, Update
    from lorabay.base.parameters import Parameter
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source

    ByTensor = dict[str, tuple[Update, ...]]

GATE, UP, DOWN = "gate_proj", "up_proj", "down_proj"

_STACKED = {"gate_up_proj": (GATE, UP), "down_proj": (DOWN,)}
"""Parameter of all experts -> the matrices of an expert that it consists of."""

_MIXTRALS = {GATE: "w1", DOWN: "w2", UP: "w3"}
"""What Mixtral's files call the matrices of an expert."""

_IN_TURNS = frozenset({"gpt_oss"})
"""`model_type` of bases whose experts have the rows of gate_proj and up_proj in turns."""


@dataclass(frozen=True, slots=True)
class ExpertPair:
    """The factors of one matrix of all experts."""

    a: TensorInfo
    b: TensorInfo

    @property
    def experts(self) -> int:
        return max(self.a.shape[0], self.b.shape[0])

    @property
    def rank(self) -> int:
        return self.a.shape[1]


def expert_updates(
    source: Source,
    experts: str,
    pairs: Mapping[str, ExpertPair],
    scale: float,
    base: BaseShapes,
) -> ByTensor | Rejected:
    """Return the updates of one layer's experts, or what does not fit.

    `experts` is the base's name of them, and `pairs` maps gate_proj, up_proj or down_proj to its
    factors.
    """
    known = parameters(base)
    by_tensor: ByTensor = {}
    reasons: list[Reason] = []
    for name, leaves in _STACKED.items():
        present = {leaf: pairs[leaf] for leaf in leaves if leaf in pairs}
        parameter = known.get(f"{experts}.{name}")
        problems = [*_count_problems(present, parameter)]
        if problems:
            reasons += problems
            continue

        if present and parameter is not None and parameter.tensor is not None:
            made = _stacked(source, parameter, present, scale, base)
        else:
            made = _single(source, experts, present, scale, base)
        if isinstance(made, Rejected):
            reasons += made.reasons
        else:
            by_tensor |= made
    return rejected(reasons) if reasons else by_tensor


def _count_problems(
    pairs: Mapping[str, ExpertPair], parameter: Parameter | None
) -> Iterator[Reason]:
    """Check that factors are for one expert, or for all of the base's."""
    for pair in pairs.values():
        experts = pair.experts if parameter is None else parameter.experts
        if not {pair.a.shape[0], pair.b.shape[0]} <= {1, experts} or pair.experts != experts:
            text = (
                f"{quoted(pair.a.name)} has shape {pair.a.shape} and its B {pair.b.shape}; the "
                f"base has {experts} experts"
            )
            yield Reason("shape", text)


def _single(
    source: Source,
    experts: str,
    pairs: Mapping[str, ExpertPair],
    scale: float,
    base: BaseShapes,
) -> ByTensor | Rejected:
    """Return a product for each matrix of each expert."""
    by_tensor: ByTensor = {}
    for leaf, pair in pairs.items():
        own = _MIXTRALS[leaf] if f"{experts}.0.{_MIXTRALS[leaf]}" in base.shapes else leaf
        for number in range(pair.experts):
            module = f"{experts}.{number}.{own}"
            parts = expert(source, pair.a, number), expert(source, pair.b, number)
            made = product(module, *parts, scale, base)
            if isinstance(made, Rejected):
                return made
            by_tensor[f"{module}.weight"] = (made,)
    return by_tensor


def _stacked(
    source: Source,
    parameter: Parameter,
    pairs: Mapping[str, ExpertPair],
    scale: float,
    base: BaseShapes,
) -> ByTensor | Rejected:
    """Return the product of all experts in one tensor of the base."""
    first = next(iter(pairs.values()))
    halves = 1 if DOWN in pairs else 2
    outputs, inputs = halves * first.b.shape[1], first.a.shape[2]
    inputs_first = lies_inputs_first((outputs, inputs), parameter, base)
    sides = {(pair.b.shape[1], pair.a.shape[2]) for pair in pairs.values()}
    has_ranks = all(pair.a.shape[1] == pair.b.shape[2] for pair in pairs.values())
    if inputs_first is None or len(sides) > 1 or not has_ranks:
        text = (
            f"{quoted(first.a.name)} has shape {first.a.shape} and its B {first.b.shape}; the base "
            f"has experts of {parameter.shape[0]} by {parameter.shape[1]}"
        )
        return rejected([Reason("shape", text)])

    stack = _Stack(source, pairs, parameter.experts, base.model_type in _IN_TURNS)
    rank = sum(pair.rank for pair in pairs.values())
    update = ExpertProducts(stack.a, partial(stack.b, outputs, rank), rank, scale, inputs_first)
    return {str(parameter.tensor): (update,)}


@dataclass(frozen=True, slots=True)
class _Stack:
    """Reads the pairs of one tensor's matrices as one pair."""

    source: Source
    pairs: Mapping[str, ExpertPair]
    experts: int
    in_turns: bool

    def a(self) -> Matrix:
        """Return A of all matrices, one below the other."""
        return np.concatenate([self._whole(pair.a) for pair in self.pairs.values()], axis=1)

    def b(self, outputs: int, rank: int) -> Matrix:
        """Return B, with each matrix's own in its rows and in the columns of its A."""
        whole = np.zeros((self.experts, outputs, rank), np.float32)
        column = 0
        for leaf, pair in self.pairs.items():
            rows = self._rows(leaf, pair.b.shape[1])
            whole[:, rows, column : column + pair.rank] = self._whole(pair.b)
            column += pair.rank
        return whole

    def _rows(self, leaf: str, count: int) -> slice:
        """Return the rows of a matrix among the outputs of the tensor."""
        if leaf == DOWN:
            return slice(None)
        if self.in_turns:
            return slice(int(leaf == UP), None, 2)
        return slice(count, None) if leaf == UP else slice(count)

    def _whole(self, tensor: TensorInfo) -> Matrix:
        """Return a factor of all experts."""
        values = self.source.load(tensor)()
        return np.broadcast_to(values, (self.experts, *values.shape[1:]))
