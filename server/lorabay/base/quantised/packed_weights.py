"""Which tensors of a base are parts of packed weights, whatever packed them.

A tensor that holds no plain floats is packed. Scales, zero points and the like lie beside it in the
same module; they are plain numbers, and mean nothing without it. Knows no method of packing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lorabay.base.tensors import Stored

_PLAIN = frozenset({"BF16", "F16", "F32", "F64"})
_WEIGHT = ".weight."
"""Comes before the parts that bitsandbytes stores as if a weight were a module."""


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """The tensors that hold packed numbers, by module, and all `parts` of those modules."""

    stored: Mapping[str, Stored]
    tensors: frozenset[str]
    by_module: Mapping[str, list[str]]
    parts: frozenset[str]

    @classmethod
    def of(cls, stored: Mapping[str, Stored]) -> Self:
        """Return the packed weights among the tensors of a base."""
        tensors = frozenset(name for name in stored if stored[name].dtype not in _PLAIN)
        by_module: defaultdict[str, list[str]] = defaultdict(list)
        for name in sorted(tensors):
            by_module[_module(name)].append(name)

        parts = frozenset(name for name in stored if _module(name) in by_module)
        return cls(stored, tensors, dict(by_module), parts)

    def hold(self, name: str) -> bool:
        """Return whether the tensor of this dense name is packed, or lacks among packed ones."""
        return bool(self._of(name))

    def dtypes(self, names: Iterable[str]) -> str:
        """Return the dtypes that the packed numbers of these tensors are stored as."""
        found: set[str] = set()
        for name in names:
            found.update(self.stored[part].dtype for part in self._of(name))
        return ", ".join(sorted(found))

    def _of(self, name: str) -> list[str]:
        """Return the packed tensors that a tensor of this dense name may consist of."""
        if name in self.tensors:
            return [name]
        if name in self.stored:
            return []
        return self.by_module.get(_module(name), [])


def _module(name: str) -> str:
    """Return the module that a tensor lies in."""
    return name.partition(_WEIGHT)[0] if _WEIGHT in name else name.rpartition(".")[0]
