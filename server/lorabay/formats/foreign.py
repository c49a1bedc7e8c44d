"""Reads an adapter that another trainer left, or that lies under another name than PEFT's.

`read_foreign` is for a tool whose user chose the folder: only `lorabay convert` writes such an
adapter as PEFT's, which everything else reads. Knows no trainer itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE, read_object
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.formats.interface import Source
from lorabay.formats.reading import AdapterUpdates, checked, read_updates
from lorabay.formats.trainers import trainer_of
from lorabay.formats.trainers.foreign_files import readable_file
from lorabay.formats.trainers.text_layout import TextLayout
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.files.adapter_folder import Limits
    from lorabay.formats.base_copies import Comparison
    from lorabay.formats.interface import Format, Updates
    from lorabay.formats.trainers import Trainer


def read_foreign(
    folder: Path, base: BaseShapes, limits: Limits, comparison: Comparison | None = None
) -> AdapterUpdates | Rejected | None:
    """Return what a foreign adapter does to `base`, or every reason why it does not fit.

    `comparison` is that of `read_updates`, for PEFT's tensors under another name. None if the
    folder's weights are PEFT's and under PEFT's name, or if there are none. Raise SetupError if the
    folder cannot be listed.
    """
    weights = _weights_file(folder)
    if weights is None:
        return None
    file = AdapterWeights.open(folder, limits, weights)
    if isinstance(file, Rejected):
        return None if weights == WEIGHTS_FILE else file

    stated = _config(folder, CONFIG_FILE, limits)
    trainer = trainer_of({} if isinstance(stated, Rejected) else stated, file.tensors)
    if trainer is not None:
        return _read(folder, file, trainer, base, limits)
    if weights == WEIGHTS_FILE:
        return None
    if isinstance(stated, Rejected) or "peft_type" in stated:
        return read_updates(folder, base, limits, comparison=comparison, file=weights)
    text = f"{quoted(weights)} holds no adapter in a form that is known here"
    return rejected([Reason("foreign_format", text)])


def _read(
    folder: Path, file: AdapterWeights, trainer: Trainer, base: BaseShapes, limits: Limits
) -> AdapterUpdates | Rejected:
    """Return what an adapter in the trainer's own format does."""
    if trainer.module is None:
        return rejected([trainer.refusal])

    config = _config(folder, trainer.config_file, limits, trainer.config_advice)
    if isinstance(config, Rejected):
        return config
    source = Source(config, file.tensors, checked(file), trusted=True)
    updates = _updates(trainer.module, source, base)
    if isinstance(updates, Rejected):
        return updates

    base_model = config.get(trainer.base_field)
    return AdapterUpdates(
        format=updates.format,
        rank=updates.rank,
        alpha=updates.alpha,
        updates=updates.by_tensor,
        base_model=base_model if isinstance(base_model, str) else None,
        config=config,
        config_changes={},
        warnings=updates.warnings,
    )


def _updates(module: Format, source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return what the adapter does, also if it knows the base only as a model for text."""
    updates = module.updates(source, base)
    text = TextLayout.of(base) if isinstance(updates, Rejected) else None
    if text is None:
        return updates

    read = module.updates(source, text.base)
    if isinstance(read, Rejected):
        return updates
    return replace(read, by_tensor=text.in_own_names(read.by_tensor))


def _weights_file(folder: Path) -> str | None:
    """Return the name of the one file with an adapter's tensors, if there is one."""
    try:
        names = [path.name for path in folder.iterdir()]
    except OSError as error:
        raise SetupError(f"{folder} cannot be read: {error.strerror}") from error
    return WEIGHTS_FILE if WEIGHTS_FILE in names else readable_file(names)


def _config(
    folder: Path, name: str, limits: Limits, advice: str = ""
) -> Mapping[str, object] | Rejected:
    """Return what the trainer wrote beside the weights, or why that is not known."""
    if (folder / name).exists():
        return read_object(folder / name, limits)
    return rejected([Reason("config_missing", f"there is no {name}; {advice}")])
