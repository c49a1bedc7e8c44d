"""The parts of an adapter that replace tensors of the base, whatever the adapter's format.

These are modules that were trained as a whole (`modules_to_save`, biases, norms), embeddings of a
changed vocabulary, and single rows of an embedding. Some PEFT types consist of nothing else; for
them this module is the format. Knows how PEFT names these tensors. Reads no values; whether one is
a mere copy of the base's is told by the comparison that it is given.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lorabay.algebra.updates import Replaced, ReplacedRows
from lorabay.base.shapes import HEAD, is_embedding, tails
from lorabay.formats.interface import Updates
from lorabay.formats.tensor_names import PREFIX, dtype_problems, unexpected
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.base.shapes import BaseShapes, Shape
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.base_copies import Comparison
    from lorabay.formats.interface import Source

_WRAPPERS = re.compile(r"\.(?:token_adapter|base_layer|ln_tuning_layers|modules_to_save)(?=\.)")
_ROWS = re.compile(r"(?:\.token_adapter)?\.trainable_tokens_delta$")

_BEFORE = ".original_module."
"""Marks the old values of a grown module, which PEFT saves beside the trained ones."""

_TRAINED = ".modules_to_save."
"""Marks the values of a module that was trained as a whole."""

_BUFFER = re.compile(r"\.(?:inv_freq|original_inv_freq|masked_bias|position_ids)$")
"""Marks what older models computed from their config and saved with their state."""

_COPY = ".base_layer."
"""Marks an embedding or head that PEFT saves beside LoRA on it, as it was before the training."""


@dataclass(frozen=True, slots=True)
class WholeTensors:
    """What an adapter replaces.

    `updates` maps tensor names of the base to the values that replace them, `base` has the shapes
    that follow, `rest` are the tensors that are left for the format. `copies` are the base's
    tensors that the file holds copies of, which are left out, and `uncompared` those of them whose
    values nobody has seen. `differences` say of replaced tensors how they differ from the base's.
    """

    updates: Mapping[str, Replaced | ReplacedRows]
    base: BaseShapes
    rest: tuple[TensorInfo, ...]
    problems: tuple[Reason, ...]
    copies: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()
    differences: Mapping[str, Reason] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of tensors that are left out."""
        compared = sorted(set(self.copies) - set(self.uncompared))
        warnings = []
        if compared:
            names = quoted(compared)
            warnings.append(f"copies of the base's own tensors in this file are left out: {names}")
        if self.uncompared:
            names = quoted(sorted(self.uncompared))
            warnings.append(
                "copies of the base's tensors are left out and were not compared with them, since "
                f"the base's weights are not at hand: {names}"
            )
        return tuple(warnings)


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return no updates besides those that `whole_tensors` took out of the source before.

    This is the format of the PEFT types LN_TUNING and TRAINABLE_TOKENS.
    """
    if source.tensors:
        return rejected(unexpected(tensor) for tensor in source.tensors)
    return Updates(str(source.config["peft_type"]).lower(), 0, 1.0, {})


def whole_tensors(
    source: Source, base: BaseShapes, comparison: Comparison | None = None
) -> WholeTensors:
    """Sort out the tensors of the adapter that replace tensors of the base.

    With a `comparison`, copies of the base's own tensors are left out, and what PEFT marks as a
    copy and differs is a problem. So are two tensors that replace one of the base's.
    """
    sorting = _Sorting(dict(base.shapes), comparison)
    # What counts comes first: names without a wrapper, and marked copies behind everything.
    for tensor in sorted(source.tensors, key=lambda one: (_COPY in one.name, len(one.name))):
        if _BEFORE not in tensor.name and not _BUFFER.search(tensor.name):
            _sort(tensor, source, base, sorting)

    _keep_tie(source, base, sorting)
    sorting.problems += _vocabulary_problems(sorting.shapes)
    return WholeTensors(
        sorting.updates,
        replace(base, shapes=sorting.shapes),
        tuple(sorting.rest),
        tuple(sorting.problems),
        tuple(sorting.copies),
        tuple(sorting.uncompared),
        sorting.differences,
    )


@dataclass(slots=True)
class _Sorting:
    """What `whole_tensors` has collected so far.

    `shapes` are those of the base's modules; `names` says which of the adapter's tensors is in
    `updates`, by the base's name.
    """

    shapes: dict[str, Shape | None]
    comparison: Comparison | None
    updates: dict[str, Replaced | ReplacedRows] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    rest: list[TensorInfo] = field(default_factory=list)
    problems: list[Reason] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    uncompared: list[str] = field(default_factory=list)
    differences: dict[str, Reason] = field(default_factory=dict)


def _sort(tensor: TensorInfo, source: Source, base: BaseShapes, sorting: _Sorting) -> None:
    """Put one tensor where it belongs."""
    if _ROWS.search(tensor.name):
        rows = _rows(source, tensor, base)
        if isinstance(rows, Reason):
            sorting.problems.append(rows)
        else:
            name = _ROWS.sub(".weight", tensor.name.removeprefix(PREFIX))
            _add(tensor, name, rows, sorting)
        return

    # PEFT wraps the module that it trains; the base knows it without the wrapper.
    name = _WRAPPERS.sub("", tensor.name.removeprefix(PREFIX))
    in_base = name in base.tensors or name == f"{HEAD}.weight"
    if not tensor.name.startswith(PREFIX) or not in_base:
        sorting.rest.append(tensor)
        return

    problems = [*dtype_problems(tensor), *_shape_problems(tensor, name, base)]
    sorting.problems += problems
    is_marked_copy = _is_copy(tensor.name, name)
    is_whole = not problems
    if is_whole and _is_left_out(tensor, name, source, sorting, is_marked_copy=is_marked_copy):
        return

    if is_marked_copy and name in sorting.updates:
        return
    _add(tensor, name, Replaced(source.load(tensor), is_marked_copy), sorting)
    _follow_shape(tensor, name, base, sorting)


def _add(tensor: TensorInfo, name: str, update: Replaced | ReplacedRows, sorting: _Sorting) -> None:
    """Add what replaces the base's tensor `name`, or the reason that something else does."""
    first = sorting.names.setdefault(name, tensor.name)
    sorting.updates.setdefault(name, update)
    # PEFT saves a module of a changed vocabulary with its wrapper as well, and reads it without.
    if first not in (tensor.name, tensor.name.replace(_TRAINED, ".")):
        text = (
            f"{quoted(first)} and {quoted(tensor.name)} both replace {quoted(name)} of the base; "
            "keep one of them"
        )
        sorting.problems.append(Reason("ambiguous_module", text))


def _follow_shape(tensor: TensorInfo, name: str, base: BaseShapes, sorting: _Sorting) -> None:
    """Hold what the format reads against the shape that was trained on."""
    module = name.removesuffix(".weight")
    if len(tensor.shape) == 2 and base.shapes.get(module) is not None:
        sorting.shapes[module] = (tensor.shape[0], tensor.shape[1])


def _is_left_out(
    tensor: TensorInfo, name: str, source: Source, sorting: _Sorting, *, is_marked_copy: bool
) -> bool:
    """Hold a tensor against the base's own; return whether it changes nothing, or is a problem."""
    comparison = sorting.comparison
    if comparison is None:
        return False

    # Nobody can tell; where PEFT itself says that it is a copy, that has to do.
    if comparison.weights is None and is_marked_copy and comparison.fits(tensor, name):
        sorting.copies.append(name)
        sorting.uncompared.append(name)
        return True

    difference = comparison.difference(tensor, name, source)
    if difference is None:
        sorting.copies.append(name)
        return True
    if is_marked_copy:
        sorting.problems.append(difference)
        _follow_shape(tensor, name, comparison.base, sorting)
        return True
    # Nothing but its values says that it was no copy.
    was_trained = difference.code == "base_copy"
    sorting.differences[name] = (
        replace(difference, code="modules_to_save") if was_trained else difference
    )
    return False


def _is_copy(tensor: str, name: str) -> bool:
    module = name.rpartition(".")[0]
    return _COPY in tensor and (is_embedding(module) or module.rpartition(".")[2] == HEAD)


def _shape_problems(tensor: TensorInfo, name: str, base: BaseShapes) -> Iterator[Reason]:
    """Check that the base's tensor has the same shape; a vocabulary may have another size."""
    module = name.removesuffix(".weight")
    expected: tuple[int, ...] | None = base.tensors.get(name)
    if module in base.shapes:
        expected = base.shapes[module]
    if expected is None or tensor.shape == expected:
        return

    has_vocabulary = is_embedding(module) or module == HEAD
    if has_vocabulary and tensor.shape[1:] == expected[1:] and tensor.shape[0] > 0:
        return
    yield Reason("shape", f"{quoted(tensor.name)} has shape {tensor.shape}, the base's {expected}")


def _rows(source: Source, tensor: TensorInfo, base: BaseShapes) -> ReplacedRows | Reason:
    """Return the rows of an embedding that were trained, or why they do not fit."""
    module = _ROWS.sub("", tensor.name.removeprefix(PREFIX))
    shape = base.shapes.get(module)
    if shape is None:
        text = f"tensor {quoted(tensor.name)}: the base has no module {quoted(module)}"
        return Reason("module_not_in_base", text)

    rows = _indices(source.config, module)
    if rows is None or max(rows, default=0) >= shape[0]:
        text = f"the config names no valid token indices for {quoted(module)}"
        return Reason("trainable_tokens", text)

    expected = (len(rows), shape[1])
    if tensor.shape != expected:
        text = f"{quoted(tensor.name)} has shape {tensor.shape}; expected is {expected}"
        return Reason("shape", text)
    return ReplacedRows(rows, source.load(tensor))


def _indices(config: Mapping[str, object], module: str) -> tuple[int, ...] | None:
    """Return the token indices of `module`, which the config has for all modules or by name."""
    indices = config.get("trainable_token_indices") or config.get("token_indices")
    if isinstance(indices, Mapping):
        by_name = indices
        name = next((tail for tail in tails(module) if tail in by_name), None)
        indices = by_name.get(name)
    if not isinstance(indices, list) or not all(type(row) is int and row >= 0 for row in indices):
        return None
    return tuple(indices)


def _keep_tie(source: Source, base: BaseShapes, sorting: _Sorting) -> None:
    """Give a tied head its embedding's update where PEFT does so.

    PEFT ties them for single rows, when it is asked to, and when the vocabulary grows.
    """
    embedding = next(filter(is_embedding, base.shapes), None)
    update = sorting.updates.get(f"{embedding}.weight")
    if embedding is None or update is None or not base.tied:
        return

    # The head may have been saved as well; then it has its own values.
    grows = sorting.shapes[embedding] != base.shapes[embedding]
    has_own = f"{HEAD}.weight" in sorting.updates
    follows = not has_own and (isinstance(update, ReplacedRows) or grows)
    if follows or source.config.get("ensure_weight_tying"):
        sorting.updates[f"{HEAD}.weight"] = update
        sorting.shapes[HEAD] = sorting.shapes[embedding]


def _vocabulary_problems(shapes: Mapping[str, Shape | None]) -> Iterator[Reason]:
    """Check that embedding and head still have the same number of rows."""
    embedding = shapes.get(next(filter(is_embedding, shapes), ""))
    head = shapes.get(HEAD)
    if embedding and head and embedding[0] != head[0]:
        text = (
            f"the embedding would have {embedding[0]} rows and the head {head[0]}; "
            "save both with the adapter"
        )
        yield Reason("vocabulary", text)
