"""Adapters of one layout: what was found of the first of them is taken over for the others.

Adapters of one recipe have the same config and the same header, and differ in their values alone.
What is checked before any value is read depends on nothing else, and costs more than reading them.
Knows nothing of what is checked.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.catalog.canonical import Canonical
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.files.tensors import Tensor
    from lorabay.formats.interface import Read

LAYOUTS_AT_MOST = 32
"""Layouts that are remembered, the last used ones."""

TENSORS_AT_MOST = 4096
"""Tensors of a layout that is worth its memory; adapters on every expert have many more."""

Layout = tuple[str, "tuple[TensorInfo, ...]"]
"""A config as text, and the tensors of a header."""


class WatchedReader:
    """Reads tensors of one file, and knows whether it has been asked to."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self.was_asked = False

    def __call__(self, info: TensorInfo) -> Tensor:
        """Return a tensor with its numbers. Raise Unreadable."""
        self.was_asked = True
        return self._read(info)


class KnownLayouts:
    """Canonical forms by layout, under one set of checks. May be called from any thread."""

    def __init__(self) -> None:
        self._known: OrderedDict[Layout, Canonical] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, layout: Layout, read: Read) -> Canonical | None:
        """Return the canonical form of an adapter of that layout, whose tensors `read` reads."""
        with self._lock:
            known = self._known.get(layout)
            if known is None:
                return None
            self._known.move_to_end(layout)
        return known.read_by(read)

    def keep(self, layout: Layout, canonical: Canonical) -> None:
        """Remember a form that no value has decided on, if it holds nothing of its own file."""
        if len(layout[1]) > TENSORS_AT_MOST:
            return
        free = canonical.read_by(_nothing)
        if free is None:
            return

        with self._lock:
            self._known[layout] = free
            while len(self._known) > LAYOUTS_AT_MOST:
                self._known.popitem(last=False)


def layout_of(config: Mapping[str, object], tensors: tuple[TensorInfo, ...]) -> Layout:
    """Return the layout of an adapter.

    The config keeps its order: of several patterns that fit a module, PEFT takes the first.
    """
    return json.dumps(config), tensors


def _nothing(info: TensorInfo) -> Tensor:
    raise TypeError(f"{info.name} is of no file")
