"""The parts of an adapter that replace tensors of the base, whatever its format: modules that were
trained as a whole (`modules_to_save`, biases, norms), embeddings of a changed vocabulary, and
single rows of an embedding.

Reads no values. Knows how PEFT names these tensors, and nothing of what else the adapter does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.algebra.updates import Replaced, ReplacedRows
from lorabay.base.shapes import is_embedding, tails
from lorabay.formats.tensor_names import PREFIX, dtype_problems
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source

_HEAD = "lm_head"
_WRAPPERS = re.compile(r"\.(?:token_adapter|base_layer|ln_tuning_layers|modules_to_save)(?=\.)")
# Beside a module of a grown vocabulary that was trained as a whole, PEFT keeps it as it was before.
_BEFORE = ".original_module."
# Beside LoRA on an embedding or head, PEFT keeps what it was trained on.
_COPY = ".base_layer."
_ROWS = re.compile(r"(?:\.token_adapter)?\.trainable_tokens_delta$")


@dataclass(frozen=True, slots=True)
class WholeTensors:
    """Tensor name of the base -> what replaces it; the base with its shapes as they are then; the
    tensors that are left for the format; and what is wrong."""

    updates: Mapping[str, Replaced | ReplacedRows]
    base: BaseShapes
    rest: tuple[TensorInfo, ...]
    problems: tuple[Reason, ...]


def whole_tensors(source: Source, base: BaseShapes) -> WholeTensors:
    updates: dict[str, Replaced | ReplacedRows] = {}
    shapes = dict(base.shapes)
    rest: list[TensorInfo] = []
    problems: list[Reason] = []
    # Shorter names last: of a module that is there twice, the one without a wrapper counts.
    for tensor in sorted(source.tensors, key=lambda tensor: -len(tensor.name)):
        name = _WRAPPERS.sub("", tensor.name.removeprefix(PREFIX))
        if _BEFORE in tensor.name:
            continue
        if _ROWS.search(tensor.name):
            rows = _rows(source, tensor, base)
            if isinstance(rows, Reason):
                problems.append(rows)
            else:
                updates[_ROWS.sub(".weight", tensor.name.removeprefix(PREFIX))] = rows
        elif not tensor.name.startswith(PREFIX) or (
            name not in base.tensors and name != f"{_HEAD}.weight"
        ):
            rest.append(tensor)
        else:
            problems += [*dtype_problems(tensor), *_shape_problems(tensor, name, base)]
            updates[name] = Replaced(
                source.load(tensor), tensor.dtype if _is_copy(tensor.name, name) else None
            )
            if len(tensor.shape) == 2 and base.shapes.get(name.removesuffix(".weight")) is not None:
                shapes[name.removesuffix(".weight")] = (tensor.shape[0], tensor.shape[1])
    _keep_tie(source, base, updates, shapes)
    problems += _vocabulary_problems(shapes, base)
    return WholeTensors(updates, replace(base, shapes=shapes), tuple(rest), tuple(problems))


def _is_copy(tensor: str, name: str) -> bool:
    module = name.rpartition(".")[0]
    return _COPY in tensor and (is_embedding(module) or module.rpartition(".")[2] == _HEAD)


def _shape_problems(tensor: TensorInfo, name: str, base: BaseShapes) -> Iterator[Reason]:
    module = name.removesuffix(".weight")
    expected: tuple[int, ...] | None = (
        base.shapes[module] if module in base.shapes else base.tensors.get(name)
    )
    if expected is None or tensor.shape == expected:
        return
    if (
        (is_embedding(module) or module == _HEAD)
        and tensor.shape[1:] == expected[1:]
        and tensor.shape[0] > 0
    ):
        return
    yield Reason("shape", f"{quoted(tensor.name)} has shape {tensor.shape}, the base's {expected}")


def _rows(source: Source, tensor: TensorInfo, base: BaseShapes) -> ReplacedRows | Reason:
    module = _ROWS.sub("", tensor.name.removeprefix(PREFIX))
    shape = base.shapes.get(module)
    if shape is None:
        return Reason(
            "module_not_in_base",
            f"tensor {quoted(tensor.name)}: the base has no module {quoted(module)}",
        )
    rows = _indices(source.config, module)
    if rows is None or max(rows, default=0) >= shape[0]:
        return Reason(
            "trainable_tokens", f"the config names no valid token indices for {quoted(module)}"
        )
    if tensor.shape != (len(rows), shape[1]):
        expected = (len(rows), shape[1])
        return Reason(
            "shape", f"{quoted(tensor.name)} has shape {tensor.shape}; expected is {expected}"
        )
    return ReplacedRows(rows, source.load(tensor))


def _indices(config: Mapping[str, object], module: str) -> tuple[int, ...] | None:
    found = config.get("trainable_token_indices") or config.get("token_indices")
    if isinstance(found, Mapping):
        found = next((found[tail] for tail in tails(module) if tail in found), None)
    if not isinstance(found, list) or not all(type(row) is int and row >= 0 for row in found):
        return None
    return tuple(found)


def _keep_tie(
    source: Source,
    base: BaseShapes,
    updates: dict[str, Replaced | ReplacedRows],
    shapes: dict[str, tuple[int, int] | None],
) -> None:
    """A tied head follows its embedding where PEFT lets it: for single rows, when asked to, and
    when both grow.
    """
    embedding = next(filter(is_embedding, base.shapes), None)
    update = updates.get(f"{embedding}.weight")
    if embedding is None or update is None or not base.tied:
        return
    grows = shapes[embedding] != base.shapes[embedding]
    follows = f"{_HEAD}.weight" not in updates and (isinstance(update, ReplacedRows) or grows)
    if follows or source.config.get("ensure_weight_tying"):
        updates[f"{_HEAD}.weight"] = update
        shapes[_HEAD] = shapes[embedding]


def _vocabulary_problems(
    shapes: Mapping[str, tuple[int, int] | None], base: BaseShapes
) -> Iterator[Reason]:
    embedding = next(filter(is_embedding, shapes), None)
    ours, head = (shapes.get(module or "") for module in (embedding, _HEAD))
    if ours and head and ours[0] != head[0]:
        text = f"the embedding would have {ours[0]} rows and the head {head[0]}; save both with the adapter"
        yield Reason("vocabulary", text)
