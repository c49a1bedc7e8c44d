"""The bare parameters that an adapter has LoRA on, by their names in the base and in the training.

PEFT's `target_parameters` name a parameter whole, or by an end of its name. In the adapter's file
stands the module that has the parameter alone. Knows no tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def trained_parameters(own_names: Mapping[str, str], targets: object) -> dict[str, str]:
    """Return each parameter that `targets` means -> its name at the time of the training.

    `own_names` maps the adapter's modules to their names at that time. `targets` is the field of a
    config as it was read: what is no list of names means nothing.
    """
    names = _names(targets)
    leaves = {name.rpartition(".")[2] for name in names}
    return {
        f"{module}.{leaf}": f"{own}.{leaf}"
        for module, own in own_names.items()
        for leaf in sorted(leaves)
        if any(_is_end(name, f"{own}.{leaf}") for name in names)
    }


def renamed_targets(targets: object, parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield `targets` in the base's names; `parameters` are those of `trained_parameters`.

    An end of a name that means the same in both stays, for parameters that the file lacks, too.
    """
    for target in _names(targets):
        meant = [name for name, own in parameters.items() if _is_end(target, own)]
        if all(_is_end(target, name) for name in meant):
            yield target
        else:
            yield from meant


def _names(targets: object) -> Sequence[str]:
    if not isinstance(targets, list):
        return ()
    return [target for target in targets if isinstance(target, str)]


def _is_end(end: str, name: str) -> bool:
    return f".{name}".endswith(f".{end}")
