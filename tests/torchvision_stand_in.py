"""A torchvision that can be imported, and does nothing.

transformers' classes that prepare images import it, and vLLM's classes of bases with a vision tower
import those. The build of torchvision that fits torch without CUDA lies on PyTorch's own index
only; names of modules, and which of them take adapters, can be learnt without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MODULES = ("io", "transforms", "transforms/functional", "transforms/v2", "transforms/v2/functional")

ANYTHING = '''
"""Has every name, each of them a class that has every name."""

__version__ = "0.99.0"


class _Meta(type):
    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Meta(name, (), {})


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return _Meta(name, (), {})
'''


def write_stand_in(folder: Path) -> Path:
    """Write the package into a new folder, and return that, to be put on the path of modules."""
    package = folder / "torchvision"
    for module in ("", *MODULES):
        place = package / module
        place.mkdir(parents=True, exist_ok=True)
        (place / "__init__.py").write_text(ANYTHING)
    return folder
