"""A base in the layout of a class for text, for trainers whose adapters know no other.

The language model of a base with a vision tower lies deeper in its files. Here its modules have the
names that they have in a model for text, and what an adapter does to those is told by the files'
names again. Knows no trainer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from lorabay.base.module_names import part_of, unwrapped
from lorabay.base.shapes import HEAD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes

    ByTensor = Mapping[str, tuple[Update, ...]]


@dataclass(frozen=True, slots=True)
class TextLayout:
    """`base` with the names of a class for text; `own_names` maps those to the files' names."""

    base: BaseShapes
    own_names: Mapping[str, str]

    @classmethod
    def of(cls, base: BaseShapes) -> Self | None:
        """Return the layout, or None if the base has it already or two modules would be one."""
        text_names = {
            module: _text_name(module)
            for module in base.module_names.modules
            if not part_of(module) and unwrapped(module)
        }
        own_names = {text: module for module, text in text_names.items()}
        is_same = all(module == text for module, text in text_names.items())
        if is_same or len(own_names) < len(text_names):
            return None

        shapes = {text_names.get(module, module): shape for module, shape in base.shapes.items()}
        tensors = {_renamed(name, text_names): shape for name, shape in base.tensors.items()}
        return cls(replace(base, shapes=shapes, tensors=tensors), own_names)

    def in_own_names(self, by_tensor: ByTensor) -> ByTensor:
        """Return updates of tensors of `base` by the names that the files have."""
        return {_renamed(name, self.own_names): updates for name, updates in by_tensor.items()}


def _text_name(module: str) -> str:
    name = unwrapped(module)
    return name if name == HEAD else f"model.{name}"


def _renamed(tensor: str, modules: Mapping[str, str]) -> str:
    module, _, last = tensor.rpartition(".")
    return f"{modules.get(module, module)}.{last}" if module else tensor
