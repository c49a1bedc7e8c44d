"""The fields of an adapter's config that name modules, with the base's names in them.

Patterns speak of the names that the modules had in the training: they become values of single
modules. What fits no module stays as it is, for the format to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lorabay.base.module_names import unwrapped
from lorabay.formats.config.patterns import Patterns
from lorabay.formats.parameter_names import renamed_targets, trained_parameters

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes

_LISTS = ("target_modules", "exclude_modules", "modules_to_save")
"""Fields that may be lists of modules."""

_ROWS = ("trainable_token_indices", "token_indices")
"""Fields that may have lists of rows by module."""

_PATTERNS = ("rank_pattern", "alpha_pattern")


def in_base_names(
    config: Mapping[str, object],
    own_names: dict[str, str],
    base: BaseShapes,
    *,
    trusted: bool,
) -> dict[str, object]:
    """Return a config with its modules in the base's names.

    `own_names` has the name that each module of the base had in the training. `trusted` says that
    regular expressions may be evaluated.
    """
    renamed = dict(config)
    for field in _LISTS:
        entries = config.get(field)
        if isinstance(entries, list):
            renamed[field] = [_module_name(entry, base) for entry in entries]

    for field in _ROWS:
        rows = config.get(field)
        if isinstance(rows, Mapping):
            renamed[field] = {_module_name(module, base): of for module, of in rows.items()}

    parameters = trained_parameters(own_names, config.get("target_parameters"))
    if parameters:
        renamed["target_parameters"] = list(
            renamed_targets(config["target_parameters"], parameters)
        )
    return renamed | patterns_by_module(config, own_names | parameters, trusted=trusted)


def patterns_by_module(
    config: Mapping[str, object], own_names: Mapping[str, str], *, trusted: bool
) -> dict[str, object]:
    """Return the fields of a config that hold patterns, with a value for each module.

    `own_names` has the name that each module, or trained parameter, had in the training. `trusted`
    is that of `in_base_names`.
    """
    fields: dict[str, object] = {}
    for field in _PATTERNS:
        patterns = config.get(field)
        if isinstance(patterns, Mapping) and patterns:
            fields[field] = _by_module(patterns, own_names, trusted=trusted)
    return fields


def _by_module(
    patterns: Mapping[str, Any], own_names: Mapping[str, str], *, trusted: bool
) -> Mapping[str, object]:
    """Return the value of each module that the patterns mean, by its complete name in the base.

    Patterns that cannot be used stay as they are.
    """
    if any(isinstance(value, list) for value in patterns.values()):
        return _by_tensor(patterns, own_names)

    evaluated = Patterns(patterns, trusted=trusted)
    has_problem = any(True for _ in evaluated.problems(own_names.values()))
    if has_problem:
        return patterns

    values: dict[str, object] = {}
    for module, own_name in own_names.items():
        value = evaluated.value(own_name)
        if value is not None:
            values[f"^{module}"] = value
    return values


def _by_tensor(patterns: Mapping[str, Any], own_names: Mapping[str, str]) -> dict[str, object]:
    """Return patterns that name single tensors, as AdaLoRA's do, with the base's names."""
    modules = {own_name: module for module, own_name in own_names.items()}
    renamed: dict[str, object] = {}
    for tensor, value in patterns.items():
        own_name, _, role = tensor.rpartition(".")
        module = modules.get(own_name, own_name)
        renamed[f"{module}.{role}"] = value
    return renamed


def _module_name(entry: object, base: BaseShapes) -> object:
    """Return a name of modules, or the end of one, as the base's; unchanged if it fits nothing."""
    if not isinstance(entry, str) or entry in base.tails:
        return entry

    found = base.module_names.find(entry)
    if found is not None and not found.rest and len(found.modules) == 1:
        return found.modules[0]
    bare = unwrapped(entry)
    return bare if bare in base.tails else entry
