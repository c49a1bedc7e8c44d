"""An adapter read beside its base: its updates, or the reasons why it does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import read_config
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.files.real_paths import real_path
from lorabay.formats.base_copies import Comparison
from lorabay.formats.interface import Source
from lorabay.formats.module_names import named_as_base
from lorabay.reasons import Rejected
from lorabay.tools.find_adapter import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.reading import AdapterUpdates
    from lorabay.tools.find_adapter import ChosenAdapter


@dataclass(frozen=True, slots=True)
class Opened:
    """An adapter that fits its base."""

    source: ChosenAdapter
    updates: AdapterUpdates
    shapes: BaseShapes
    weights: BaseWeights
    tokenizer: BaseTokenizer


@dataclass(frozen=True, slots=True)
class Misfit:
    """An adapter that does not fit its base, so that only its config and header are known.

    `tensors` are named as the base's modules where they have one meaning there.
    """

    source: ChosenAdapter
    config: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]
    refusal: Rejected
    shapes: BaseShapes
    weights: BaseWeights
    tokenizer: BaseTokenizer


def open_adapter(
    source: ChosenAdapter, base: Path, *, initial: Path | None = None, residual_base: bool = False
) -> Opened | Misfit:
    """Read config and header of an adapter of the model in `base`.

    `initial` and `residual_base` are those of `formats.reading`. Raise SetupError with every reason
    if not even config and header can be read.
    """
    name = real_path(base).name
    files = BaseFiles.open(base)
    shapes = with_hidden_shapes(files, BaseShapes.of(files, names=(name,)))
    weights = BaseWeights.of(files)
    tokenizer = BaseTokenizer(base)

    updates = source.updates(
        shapes,
        initial=initial,
        residual_base=residual_base,
        comparison=Comparison(shapes, weights),
    )
    if not isinstance(updates, Rejected):
        return Opened(source, updates, shapes, weights, tokenizer)

    config = read_config(source.folder, LIMITS)
    file = AdapterWeights.open(source.folder, LIMITS)
    if isinstance(config, Rejected) or isinstance(file, Rejected):
        raise refused(source, updates)

    # Names that are refused stay as they are.
    named = named_as_base(Source(config, file.tensors, file.read), shapes)
    tensors = file.tensors if isinstance(named, Rejected) else named.tensors
    return Misfit(source, config, tensors, updates, shapes, weights, tokenizer)


def readable(opened: Opened | Misfit) -> Opened:
    """Return an adapter that fits. Raise SetupError with every reason if it does not."""
    if isinstance(opened, Misfit):
        raise refused(opened.source, opened.refusal)
    return opened


def refused(source: ChosenAdapter, rejected: Rejected) -> SetupError:
    """Return the error of an adapter that cannot be inspected."""
    return SetupError(f"{source.folder} cannot be inspected: {rejected.line}")
