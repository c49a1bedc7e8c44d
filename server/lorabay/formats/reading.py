"""Reads what the adapter in a folder does to the weights of a base, whatever its PEFT type.

Config and header are checked completely, and every problem is reported; factors are read one at a
time when they are asked for. Used by the offline tools and for the members of composites. The tools
evaluate regular expressions of the config, since the one who runs a tool chose the adapter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from lorabay.base.context import longer
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Limits,
    Unreadable,
    read_config,
    read_object,
)
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.files.side_files import MODEL_CONFIG_FILE
from lorabay.formats import FORMATS, refusal
from lorabay.formats.base_copies import dropped_copies
from lorabay.formats.config.config_values import normalised
from lorabay.formats.interface import Source
from lorabay.formats.module_names import named_as_base
from lorabay.formats.modules_to_save import whole_tensors
from lorabay.formats.pissa import init_problems
from lorabay.formats.trainers import trainer_of
from lorabay.formats.trainers.folder_contents import explained
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.formats.base_copies import Comparison

_INITIAL_FOLDERS = ("pissa_init", "olora_init", "corda_init", "init")


@dataclass(frozen=True, slots=True)
class AdapterUpdates:
    """What an adapter does: `updates` maps tensor names of the base to updates in order.

    `lm_head.weight` may be a name that a tied base does not store. If its updates are the very
    objects of the embedding's, the two stay tied. `rank` is the largest rank of all modules, 0 for
    formats without ranks. `config_changes` are fields of the base's config that the result needs. A
    `Load` of an update raises SetupError if the adapter changes or vanishes meanwhile, or holds
    values that are not finite. `of_base` is whether copies of the base's tensors were compared with
    them and left out.
    """

    format: str
    rank: int
    alpha: float
    updates: Mapping[str, tuple[Update, ...]]
    base_model: str | None
    config: Mapping[str, object]
    config_changes: Mapping[str, object]
    warnings: tuple[str, ...]
    of_base: bool = False


def read_updates(
    folder: Path,
    base: BaseShapes,
    limits: Limits | None = None,
    *,
    initial: Path | None = None,
    residual_base: bool = False,
    trusted: bool = True,
    comparison: Comparison | None = None,
    file: str = WEIGHTS_FILE,
) -> AdapterUpdates | Rejected:
    """Return what the adapter in `folder` does to `base`, or every reason why that is not known.

    Reads config and header. PiSSA and its like need one of `initial` and `residual_base`. `initial`
    is the folder of the same adapter as it was initialised (default: `pissa_init` and the like
    inside `folder`). `residual_base` says that `base` is what that initialisation left. `trusted`
    says that regular expressions in the config may be evaluated. With a `comparison`, copies of the
    base's own tensors are no updates; one that PEFT marks as a copy and that differs is a reason.
    `file` is the name of the weights.
    """
    limits = limits or Limits()
    source = _source(folder, base, limits, trusted=trusted, file=file)
    if isinstance(source, Rejected):
        return source
    # On the base that the initialisation left, the adapter is exact as it is.
    start = None if residual_base else _initial(folder, initial, base, limits, trusted=trusted)
    if isinstance(start, Rejected):
        return start

    # A type that nobody reads is refused before its tensors are looked at.
    entry = FORMATS.get(str(source.config.get("peft_type")))
    if entry is None or entry.module is None:
        return rejected([refusal(source.config)])

    # The copies are of what the initialisation left; the updates are for the original base.
    takes_initial = start is not None and any(init_problems(source.config))
    if takes_initial:
        comparison = None

    # Replaced tensors come first: they may change the shapes that the format checks against.
    replaced = whole_tensors(source, base, comparison)
    if start is not None:
        start = replace(start, tensors=whole_tensors(start, base).rest)
    rest = replace(
        source,
        tensors=replaced.rest,
        copies=replaced.copies,
        initial=start,
        residual_base=residual_base,
    )
    changed = entry.module.updates(rest, replaced.base)
    problems = [*replaced.problems, *(changed.reasons if isinstance(changed, Rejected) else ())]
    if isinstance(changed, Rejected) or problems:
        return rejected(problems)

    updates = _joined(replaced.updates, changed.by_tensor)
    if takes_initial:
        updates = dropped_copies(updates)
    if not updates:
        return rejected([Reason("no_effect", "the adapter changes no weight of the base")])

    return AdapterUpdates(
        format=changed.format,
        rank=changed.rank,
        alpha=changed.alpha,
        updates=updates,
        base_model=base_model_of(source.config),
        config=source.config,
        config_changes=_config_changes(folder, replaced.base, base, limits),
        warnings=(*source.notes, *replaced.warnings, *changed.warnings),
        of_base=len(replaced.copies) > len(replaced.uncompared),
    )


def initial_folder(folder: Path) -> Path | None:
    """Return the folder of the adapter as it was initialised, if `folder` contains one."""
    folders = (folder / name for name in _INITIAL_FOLDERS)
    return next((initial for initial in folders if (initial / CONFIG_FILE).is_file()), None)


def base_model_of(config: Mapping[str, object]) -> str | None:
    """Return the name of the base that an adapter's config says it was trained on, if any."""
    name = config.get("base_model_name_or_path")
    return name if isinstance(name, str) and name else None


def open_adapter(
    folder: Path, limits: Limits, name: str = WEIGHTS_FILE
) -> tuple[Mapping[str, object], AdapterWeights] | Rejected:
    """Return the config and the opened weights of an adapter, or the problems of both.

    `name` is that of the weights' file. An adapter in another trainer's own format is a problem.
    Loosely typed values of the config have the types that PEFT means.
    """
    # Both are opened before either is judged: one answer names the problems of both.
    config = read_config(folder, limits)
    file = AdapterWeights.open(folder, limits, name)
    if isinstance(config, Rejected) or isinstance(file, Rejected):
        problems = [one.reasons for one in (config, file) if isinstance(one, Rejected)]
        return explained(folder, rejected(chain.from_iterable(problems)))

    trainer = trainer_of(config, file.tensors)
    return rejected([trainer.refusal]) if trainer else (normalised(config), file)


def _source(
    folder: Path, base: BaseShapes, limits: Limits, *, trusted: bool, file: str = WEIGHTS_FILE
) -> Source | Rejected:
    """Return the adapter in `folder`, its modules named as the base's."""
    opened = open_adapter(folder, limits, file)
    if isinstance(opened, Rejected):
        return opened
    config, weights = opened
    source = Source(config, weights.tensors, checked(weights), trusted=trusted)
    return named_as_base(source, base)


def checked(file: AdapterWeights) -> Callable[[TensorInfo], Tensor]:
    """Return a reader of tensors that raises SetupError for values that cannot be used."""

    def read(info: TensorInfo) -> Tensor:
        try:
            tensor = file.read(info)
        except Unreadable as problem:
            raise SetupError(f"the adapter cannot be used: {problem.reason}") from None
        if not tensor.is_finite:
            text = f"the adapter's tensor {quoted(info.name)} holds NaN or infinite values"
            raise SetupError(text)
        return tensor

    return read


def _initial(
    folder: Path, initial: Path | None, base: BaseShapes, limits: Limits, *, trusted: bool
) -> Source | Rejected | None:
    """Return the adapter as it was initialised, if it is at hand."""
    place = initial or initial_folder(folder)
    if place is None:
        return None
    source = _source(place, base, limits, trusted=trusted)
    if not isinstance(source, Rejected):
        return source
    where = f"as initialised, in {str(place)!a}"
    return rejected(Reason(reason.code, f"{where}: {reason.text}") for reason in source.reasons)


def _joined(
    replacing: Mapping[str, Update], changing: Mapping[str, tuple[Update, ...]]
) -> Mapping[str, tuple[Update, ...]]:
    """Return both: what replaces a tensor comes before what changes it."""
    joined: defaultdict[str, tuple[Update, ...]] = defaultdict(tuple)
    for name, update in replacing.items():
        joined[name] = (update,)
    for name, updates in changing.items():
        joined[name] += updates
    return dict(joined)


def _config_changes(
    folder: Path, grown: BaseShapes, base: BaseShapes, limits: Limits
) -> Mapping[str, object]:
    """Return a longer context from a model config beside the adapter, and a grown vocabulary."""
    changes: dict[str, object] = {}
    if (folder / MODEL_CONFIG_FILE).is_file():
        config = read_object(folder / MODEL_CONFIG_FILE, limits)
        if not isinstance(config, Rejected):
            changes = longer(config, base.context)

    for module, shape in grown.shapes.items():
        if shape and shape != base.shapes.get(module):
            changes["vocab_size"] = shape[0]
    return changes
