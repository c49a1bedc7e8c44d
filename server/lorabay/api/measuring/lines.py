"""Lines of the text formats: a name, labels and a number each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from prometheus_client.utils import floatToGoString


@dataclass(frozen=True, slots=True)
class Lines:
    """A family of series whose lines are written already, some in each of its texts."""

    name: str
    documentation: str
    type: str
    texts: Iterable[str]


number: Callable[[float], str] = lru_cache(maxsize=4096)(floatToGoString)
"""The form of a number. Most are small counts, and many are 1, so their forms are remembered."""


def head(name: str, labels: Mapping[str, str]) -> str:
    """Return what stands before the number of a line."""
    if not labels:
        return f"{name} "
    pairs = ",".join([f'{label}="{_escaped(text)}"' for label, text in labels.items()])
    return f"{name}{{{pairs}}} "


def _escaped(text: str) -> str:
    if "\\" in text or '"' in text or "\n" in text:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return text
