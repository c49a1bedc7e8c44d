"""The tensors of an adapter whose modules are known, and the one name that each should have.

A name that may mean several modules, and a module that is named in two ways, are told apart here;
whoever asks decides what follows. Reads names only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.module_names import unwrapped
from lorabay.formats.naming.roles import (
    adapter_name,
    lack_their_ends,
    with_its_end,
    without_adapter,
)
from lorabay.formats.tensor_names import PREFIX
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lorabay.base.module_names import Found, ModuleNames

_SHARED = re.compile(r"(vera_[AB]|vblora_vector_bank|randlora_[AB])(?:\.\w+)?")
"""A tensor of all modules, which PEFT names without any of them; its adapter's name may follow."""


@dataclass(frozen=True, slots=True)
class NamedTensor:
    """A tensor of an adapter: its `name`, the modules that are found in it, and its role there."""

    name: str
    found: Found
    role: str

    @property
    def module(self) -> str:
        """The module, of several the first."""
        return self.found.modules[0]

    @property
    def canonical(self) -> str:
        """Its name as PEFT gives it on the base's own layout."""
        return f"{PREFIX}{self.module}.{self.role}" if self.role else PREFIX + self.module


def named_tensors(tensors: Iterable[str], modules: ModuleNames) -> list[NamedTensor]:
    """Return the tensors whose modules are known."""
    found: dict[str, Found] = {}
    for name in tensors:
        meaning = modules.find(name)
        if meaning is not None:
            found[name] = meaning

    adapter = adapter_name(meaning.rest for meaning in found.values())
    roles = {name: without_adapter(meaning.rest, adapter) for name, meaning in found.items()}
    if lack_their_ends(roles.values()):
        roles = {name: with_its_end(role) for name, role in roles.items()}
    return [NamedTensor(name, meaning, roles[name]) for name, meaning in found.items()]


def canonical_names(tensors: Iterable[str], named: Iterable[NamedTensor]) -> dict[str, str]:
    """Return name -> canonical name of the tensors for which they differ."""
    canonical = {tensor.name: tensor.canonical for tensor in named}
    for name in tensors:
        shared = _SHARED.fullmatch(unwrapped(name))
        if shared is not None and name not in canonical:
            canonical[name] = f"base_model.{shared[1]}"
    return {name: new for name, new in canonical.items() if name != new}


def ambiguities(named: Iterable[NamedTensor]) -> Iterator[Reason]:
    """Return a reason for each name that may mean several modules of the base."""
    for tensor in named:
        if len(tensor.found.modules) == 1:
            continue
        candidates = " or ".join(map(quoted, tensor.found.modules))
        text = (
            f"{quoted(tensor.found.name)} may be {candidates} of the base; "
            "name the module as the base's files do"
        )
        yield Reason("ambiguous_module", text)


def second_names(named: Iterable[NamedTensor]) -> Iterator[Reason]:
    """Return a reason for each module that the file names in two ways."""
    names: dict[str, str] = {}
    for tensor in named:
        name = tensor.found.name
        first = names.setdefault(tensor.module, name)
        if first == name:
            continue
        text = (
            f"{quoted(first)} and {quoted(name)} are both the module "
            f"{quoted(tensor.module)} of the base; keep one of them"
        )
        yield Reason("ambiguous_module", text)
