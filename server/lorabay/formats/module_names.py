"""An adapter with its modules named as the base's own files name them.

Done once, before any format looks at the tensors, so that every reader takes and refuses the same
names. vLLM's classes rename the base's files and the stored adapter by one table: the names of the
files are the ones that an engine understands. A name that may mean several modules, or a module
that is named in two ways, is refused. Reads no values and knows no format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lorabay.base.shapes import tails
from lorabay.formats.naming.config_names import in_base_names, patterns_by_module
from lorabay.formats.naming.layout_note import layout_note
from lorabay.formats.naming.named_tensors import (
    ambiguities,
    canonical_names,
    named_tensors,
    second_names,
)
from lorabay.formats.naming.roles import is_factor
from lorabay.formats.parameter_names import trained_parameters
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lorabay.base.module_names import ModuleNames
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source
    from lorabay.formats.naming.named_tensors import NamedTensor


def named_as_base(source: Source, base: BaseShapes) -> Source | Rejected:
    """Return `source` with tensors and config in the base's own names, and a note if any changed.

    A tensor that fits no module keeps its name. Rejected with every name that has no one meaning.
    """
    stored_names = [tensor.name for tensor in source.tensors]
    named = named_tensors(stored_names, base.module_names)
    problems = [*ambiguities(named), *second_names(named)]
    if problems:
        return rejected(problems)

    new_names = canonical_names(stored_names, named)
    if not new_names:
        return source

    tensors = [
        replace(tensor, name=new_names.get(tensor.name, tensor.name)) for tensor in source.tensors
    ]
    twice = _twice(tensor.name for tensor in tensors)
    if twice is not None:
        text = f"two tensors of the file are both {quoted(twice)} of the base; keep one of them"
        return rejected([Reason("ambiguous_module", text)])

    return replace(
        source,
        config=in_base_names(source.config, _own_names(named), base, trusted=source.trusted),
        tensors=tuple(sorted(tensors, key=lambda tensor: tensor.name)),
        notes=(*source.notes, layout_note(named, mapped=len(new_names))),
        stored_names={new: stored for stored, new in new_names.items()},
    )


@dataclass(frozen=True, slots=True)
class Layout:
    """An adapter in the layout of a model in memory, which need not be that of the base's files.

    `names` has the new names of the tensors that get one, `config` the fields that name modules.
    """

    names: Mapping[str, str]
    config: Mapping[str, object]


def layout_in(
    model: ModuleNames, tensors: Collection[str], config: Mapping[str, object]
) -> Layout | None:
    """Return an adapter in the layout of `model`; None if it has that layout already.

    Its tensors and config are as its files have them. Tensors without one meaning stay as they are.
    """
    named = named_tensors(tensors, model)
    unambiguous = [tensor for tensor in named if len(tensor.found.modules) == 1]
    names = canonical_names(tensors, unambiguous)
    if not names:
        return None

    own_names = _own_names(unambiguous)
    parameters = trained_parameters(own_names, config.get("target_parameters"))
    fields = patterns_by_module(config, own_names | parameters, trusted=True)

    # PEFT wraps parameters apart from layers: what holds them is no target itself.
    holders = {parameter.rpartition(".")[0] for parameter in parameters}
    targets = {tensor.module for tensor in unambiguous if is_factor(tensor.role)} - holders
    if targets or parameters:
        fields["target_modules"] = sorted(targets)
    if parameters:
        fields["target_parameters"] = sorted(parameters)

    saved = config.get("modules_to_save")
    if isinstance(saved, list):
        whole = {tensor.module for tensor in unambiguous if not is_factor(tensor.role)}
        meant = [module for module in whole if _is_meant(own_names[module], saved)]
        fields["modules_to_save"] = sorted(meant)
    return Layout(names, fields)


def _own_names(named: Iterable[NamedTensor]) -> dict[str, str]:
    """Return the name that each module had in the training."""
    return {tensor.module: tensor.found.own for tensor in named}


def _is_meant(module: str, saved: Iterable[object]) -> bool:
    """Return whether a module, or an end of its name, is in a list of a config."""
    return not set(tails(module)).isdisjoint(saved)


def _twice(names: Iterable[str]) -> str | None:
    """Return a name that occurs twice, if one does."""
    for name, count in Counter(names).items():
        if count > 1:
            return name
    return None
