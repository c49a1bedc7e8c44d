"""What the adapter in a folder does to the weights of a base, whatever its PEFT type.

Config and header are checked as a whole first; factors are read one at a time when they are asked
for. Every reason why it cannot be done exactly is given. For the offline tools, which evaluate the
regular expressions of a config, since the one who runs a tool chose the adapter; and for the
members of composites.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, Limits, Unreadable, read_config, read_object
from lorabay.files.adapter_weights import AdapterWeights
from lorabay.formats import UPDATE_FORMATS, refusal
from lorabay.formats.base_layer_copies import dropped_copies
from lorabay.formats.interface import Source
from lorabay.formats.lora_config import init_problems
from lorabay.formats.modules_to_save import whole_tensors
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.formats.modules_to_save import WholeTensors

_INITIAL_FOLDERS = ("pissa_init", "olora_init", "corda_init", "init")
_MODEL_CONFIG = "config.json"
_LONGER_CONTEXT = ("max_position_embeddings", "rope_parameters", "rope_scaling", "rope_theta")


@dataclass(frozen=True, slots=True)
class AdapterUpdates:
    """Tensor name of the base -> its updates, in the order in which they are applied.

    `lm_head.weight` may be a name that a tied base has not stored; where its updates are the very
    ones of the embedding, the two stay tied. `rank` is the largest of all modules, 0 where the word
    means nothing. `config_changes` are fields of the base's config that the result needs. A `Load`
    of an update raises SetupError when the adapter changes or vanishes meanwhile, or holds values
    that are not finite.
    """

    format: str
    rank: int
    alpha: float
    updates: Mapping[str, tuple[Update, ...]]
    base_model: str | None
    config: Mapping[str, object]
    config_changes: Mapping[str, object]
    warnings: tuple[str, ...]


def read_updates(
    folder: Path,
    base: BaseShapes,
    limits: Limits | None = None,
    *,
    initial: Path | None = None,
    residual_base: bool = False,
    trusted: bool = True,
) -> AdapterUpdates | Rejected:
    """Reads config and header of the adapter in `folder`.

    `initial` is the folder of the same adapter as it was initialised (default: `pissa_init` and its
    like inside `folder`), `residual_base` says that `base` is what that initialisation left: PiSSA
    and its kin need one of them. `trusted` says that regular expressions in the config may be
    evaluated.
    """
    limits = limits or Limits()
    source = _source(folder, limits)
    if isinstance(source, Rejected):
        return source
    source = replace(source, trusted=trusted)
    # Onto what the initialisation left, the adapter goes as it is.
    first = None if residual_base else _initial(folder, initial, limits)
    if isinstance(first, Rejected):
        return first
    if first is not None:
        first = replace(first, trusted=trusted)
    peft_format = UPDATE_FORMATS.get(str(source.config.get("peft_type")))
    if peft_format is None:
        return rejected([refusal(source.config.get("peft_type"))])
    whole = whole_tensors(source, base)
    if first is not None:
        first = replace(first, tensors=whole_tensors(first, base).rest)
    source = replace(source, tensors=whole.rest, initial=first, residual_base=residual_base)
    found = peft_format.updates(source, whole.base)
    if isinstance(found, Rejected) or whole.problems:
        return rejected([*whole.problems, *(found.reasons if isinstance(found, Rejected) else ())])
    by_tensor = _joined(whole.updates, found.by_tensor)
    if first is not None and any(init_problems(source.config)):
        # The copies are of what the initialisation left; the rest is for the base as it was.
        by_tensor = dropped_copies(by_tensor)
    if not by_tensor:
        return rejected([Reason("no_effect", "the adapter changes no weight of the base")])
    name = source.config.get("base_model_name_or_path")
    return AdapterUpdates(
        format=found.format,
        rank=found.rank,
        alpha=found.alpha,
        updates=by_tensor,
        base_model=name if isinstance(name, str) and name else None,
        config=source.config,
        config_changes=_config_changes(folder, whole, base, limits),
        warnings=found.warnings,
    )


def _source(folder: Path, limits: Limits) -> Source | Rejected:
    config = read_config(folder, limits)
    file = AdapterWeights.open(folder, limits)
    if isinstance(config, Rejected) or isinstance(file, Rejected):
        return rejected(
            reason
            for part in (config, file)
            if isinstance(part, Rejected)
            for reason in part.reasons
        )
    return Source(config, file.tensors, _checked(file))


def _checked(file: AdapterWeights) -> Callable[[TensorInfo], Tensor]:
    def read(info: TensorInfo) -> Tensor:
        try:
            tensor = file.read(info)
        except Unreadable as problem:
            raise SetupError(f"the adapter cannot be used: {problem.reason}") from None
        if not tensor.is_finite:
            raise SetupError(
                f"the adapter's tensor {quoted(info.name)} holds NaN or infinite values"
            )
        return tensor

    return read


def _initial(folder: Path, initial: Path | None, limits: Limits) -> Source | Rejected | None:
    found = initial or initial_folder(folder)
    if found is None:
        return None
    source = _source(found, limits)
    if not isinstance(source, Rejected):
        return source
    where = f"as initialised, in {str(found)!a}"
    return rejected(Reason(reason.code, f"{where}: {reason.text}") for reason in source.reasons)


def initial_folder(folder: Path) -> Path | None:
    """Where the adapter in `folder` lies as it was initialised, if it brings that."""
    return next(
        (folder / name for name in _INITIAL_FOLDERS if (folder / name / CONFIG_FILE).is_file()),
        None,
    )


def _joined(
    whole: Mapping[str, Update], found: Mapping[str, tuple[Update, ...]]
) -> Mapping[str, tuple[Update, ...]]:
    """What replaces a tensor comes before what changes it."""
    joined: defaultdict[str, tuple[Update, ...]] = defaultdict(tuple)
    for name, update in whole.items():
        joined[name] = (update,)
    for name, updates in found.items():
        joined[name] += updates
    return dict(joined)


def _config_changes(
    folder: Path, whole: WholeTensors, base: BaseShapes, limits: Limits
) -> Mapping[str, object]:
    """A changed vocabulary, and the longer context that LongLoRA's training leaves in a config
    beside the adapter.
    """
    changes: dict[str, object] = {}
    if (folder / _MODEL_CONFIG).is_file():
        config = read_object(folder / _MODEL_CONFIG, limits)
        if not isinstance(config, Rejected):
            changes = {field: config[field] for field in _LONGER_CONTEXT if field in config}
    rows = {
        shape[0]
        for module, shape in whole.base.shapes.items()
        if shape and shape != base.shapes.get(module)
    }
    return changes | ({"vocab_size": rows.pop()} if rows else {})
