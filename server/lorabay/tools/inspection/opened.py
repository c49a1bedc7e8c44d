"""An adapter beside its base, read as far as it can be: what it does to the base, or why that
cannot be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import read_config
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.files.real_paths import real_path
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
    """An adapter that was read, beside its base."""

    source: ChosenAdapter
    found: AdapterUpdates
    shapes: BaseShapes
    weights: BaseWeights


@dataclass(frozen=True, slots=True)
class Misfit:
    """An adapter of which nothing but config and header is known, beside the base that it does not
    fit, and why.
    """

    source: ChosenAdapter
    config: Mapping[str, object]
    tensors: tuple[TensorInfo, ...]
    refusal: Rejected
    shapes: BaseShapes
    weights: BaseWeights


def open_adapter(
    source: ChosenAdapter, base: Path, *, initial: Path | None = None, residual_base: bool = False
) -> Opened | Misfit:
    """Read config and header. `initial` and `residual_base`: as in `catalog.adapter_updates`.

    Raises SetupError with every reason when that cannot be done.
    """
    files = BaseFiles.open(base)
    shapes = BaseShapes.of(files, names=(real_path(base).name,))
    found = source.updates(shapes, initial=initial, residual_base=residual_base)
    if not isinstance(found, Rejected):
        return Opened(source, found, shapes, BaseWeights.of(files))
    config, file = read_config(source.folder, LIMITS), AdapterWeights.open(source.folder, LIMITS)
    if isinstance(config, Rejected) or isinstance(file, Rejected):
        raise refused(source, found)
    return Misfit(source, config, file.tensors, found, shapes, BaseWeights.of(files))


def readable(opened: Opened | Misfit) -> Opened:
    """The adapter. Raises SetupError with every reason when it does not fit."""
    if isinstance(opened, Misfit):
        raise refused(opened.source, opened.refusal)
    return opened


def refused(source: ChosenAdapter, rejected: Rejected) -> SetupError:
    """What says why an adapter cannot be inspected."""
    return SetupError(f"{source.folder} cannot be inspected: {rejected.line}")
