"""The factors of other trainers' adapters, checked against the base and made into products.

A factor is a matrix that may lie in the file in another order than PEFT's: transposed, with its
rows in another order, or as one slice of a tensor for all experts. Knows no trainer.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import ExpertProducts, LowRank, transposed
from lorabay.files.safetensors_header import ITEM_BYTES
from lorabay.formats.interface import Updates
from lorabay.formats.tensor_names import dtype_problems, product_problems, unexpected
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Mapping

    from lorabay.algebra.updates import Load, Matrix, Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor: the tensor that it is read from, its shape, and how it is read."""

    name: str
    shape: tuple[int, ...]
    load: Load

    @property
    def transposed(self) -> Factor:
        """The transpose of a matrix."""
        return Factor(self.name, self.shape[::-1], transposed(self.load))


@dataclass(frozen=True, slots=True)
class Named:
    """Module as the trainer names it -> its tensors by factor, and what is wrong with others."""

    modules: Mapping[str, Mapping[str, TensorInfo]]
    problems: tuple[Reason, ...]


def by_factor(tensors: Iterable[TensorInfo], name: re.Pattern[str]) -> Named:
    """Sort tensors by the groups `module` and `factor` of their names.

    A name that does not match as a whole is a problem, and so is a factor that is there twice.
    """
    modules: defaultdict[str, dict[str, TensorInfo]] = defaultdict(dict)
    problems: list[Reason] = []
    for tensor in tensors:
        match = name.fullmatch(tensor.name)
        if match is None:
            problems.append(unexpected(tensor))
            continue
        problems += dtype_problems(tensor)
        first = modules[match["module"]].setdefault(match["factor"], tensor)
        if first is not tensor:
            problems.append(_same_factor(first, tensor, match["module"], match["factor"]))
    return Named(dict(sorted(modules.items())), tuple(problems))


def _same_factor(first: TensorInfo, second: TensorInfo, module: str, factor: str) -> Reason:
    text = (
        f"{quoted(first.name)} and {quoted(second.name)} are both the {factor} of "
        f"{quoted(module)}; keep one of them"
    )
    return Reason("ambiguous_module", text)


def in_base(name: str, base: BaseShapes) -> str:
    """Return the one module of the base that `name` means, as for PEFT's names; else the name."""
    found = base.module_names.find(name)
    if found is None or found.rest or len(found.modules) != 1:
        return name
    return found.modules[0]


def stored(source: Source, tensor: TensorInfo) -> Factor:
    """Return a factor that is the whole tensor."""
    return Factor(tensor.name, tensor.shape, source.load(tensor))


def expert(source: Source, tensor: TensorInfo, number: int) -> Factor:
    """Return one expert's part of a tensor (experts, rows, columns); only that part is read.

    A tensor for one expert is shared by all.
    """
    rows = tensor.shape[1:]
    size = ITEM_BYTES[tensor.dtype] * math.prod(rows)
    start = tensor.start + size * (number if tensor.shape[0] > 1 else 0)
    part = replace(tensor, shape=rows, start=start, end=start + size)
    return Factor(tensor.name, rows, lambda: source.read(part).as_float32())


def half_rotary(factor: Factor, head_size: int) -> Factor:
    """Return a factor whose rows are the outputs of heads, in the order of transformers.

    Mistral's and Meta's code rotates neighbouring outputs of a head together, transformers' code
    the first half with the second. transformers' `convert_mistral_weights_to_hf.permute_for_rope`
    and torchtune's `convert_weights._permute_lora_matrix` reorder the rows alike. A vector is a
    factor of one column.
    """
    load = factor.load

    def reordered() -> Matrix:
        values = load()
        pairs = values.reshape(-1, head_size // 2, 2, *values.shape[1:])
        return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(values.shape))

    return replace(factor, load=reordered)


def rotary_problems(factor: Factor, head_size: int) -> Iterator[Reason]:
    """Check that the rows of a factor are those of whole heads, each of two halves."""
    if head_size < 2 or head_size % 2 or not factor.shape or factor.shape[0] % head_size:
        text = f"{quoted(factor.name)} of shape {factor.shape} is not made of heads of {head_size}"
        yield Reason("shape", text)


def product(
    module: str, a: Factor, b: Factor, scale: float, base: BaseShapes
) -> LowRank | Rejected:
    """Return W + scale * B A on one module of the base, or what does not fit.

    A is (rank, inputs) and B (outputs, rank). An embedding's outputs are its rows.
    """
    problems = tuple(_problems(module, a, b, base))
    if problems:
        return rejected(problems)

    made = LowRank(a.load, b.load, a.shape[0], scale)
    return made.transposed if base.is_conv1d(module) else made


def _problems(module: str, a: Factor, b: Factor, base: BaseShapes) -> Iterator[Reason]:
    shapes = f"{quoted(a.name)} gives an A of shape {a.shape} and a B of {b.shape}"
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != b.shape[1]:
        yield Reason("shape", f"{shapes}, which make no product")
    elif 0 in (*a.shape, *b.shape):
        yield Reason("rank_zero", f"{shapes}; no dimension may be 0")
    elif module not in base.shapes:
        text = f"tensor {quoted(a.name)}: the base has no module {quoted(module)}"
        yield Reason("module_not_in_base", text)
    else:
        shape = base.layer_shape(module)
        yield from product_problems(module, b.shape[0], a.shape[1], shape)


class Collected:
    """The updates of an adapter, module after module, and every reason against it."""

    def __init__(self, reasons: Iterable[Reason] = ()) -> None:
        self.by_tensor: dict[str, tuple[Update, ...]] = {}
        self.reasons = list(reasons)

    def add(self, made: Mapping[str, tuple[Update, ...]] | Rejected) -> None:
        """Add what one module does. Two that change one tensor of the base are a problem."""
        if isinstance(made, Rejected):
            self.reasons += made.reasons
            return
        self.reasons += map(named_twice, sorted(made.keys() & self.by_tensor.keys()))
        self.by_tensor |= made

    def as_updates(self, trainer: str, alpha: float) -> Updates | Rejected:
        """Return the updates of the whole adapter, or the reasons."""
        if not self.by_tensor and not self.reasons:
            text = "the safetensors file holds no tensors of this format"
            self.reasons.append(Reason("no_tensors", text))
        if self.reasons:
            return rejected(self.reasons)

        rank = max(_rank(update) for updates in self.by_tensor.values() for update in updates)
        return Updates(trainer, rank, alpha, self.by_tensor)


def named_twice(name: str) -> Reason:
    """Return the reason for a tensor or module of the base that two modules of a file mean."""
    text = f"two modules of the adapter are {quoted(name)} of the base; keep one of them"
    return Reason("ambiguous_module", text)


def _rank(update: Update) -> int:
    if isinstance(update, ExpertProducts):
        return update.rank
    return 0 if update.low_rank is None else update.low_rank.rank
