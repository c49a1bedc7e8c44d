"""Sizes of JSON: of its bytes before they are parsed, and of a value after it.

A body is measured before anything trusts it, so nothing here recurses and nothing copies a value.
Knows nothing of what the values mean.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

CONTAINER_WEIGHT = 16
"""Values that an object or a list counts as: an empty one takes as much memory as ten numbers."""

SMALLEST, LARGEST = -(2**63), 2**64 - 1
"""Whole numbers that fit into 64 bits, signed or unsigned; nothing behind the API takes others."""

Container = dict[str, Any] | list[Any]

MEDIA = (
    "audio_embeds",
    "audio_url",
    "data",
    "file_data",
    "image_embeds",
    "image_url",
    "url",
    "video_url",
)
"""Names of strings that hold pictures, sound or their addresses: no text."""

# A string, which ends at the end of the bytes if its quote is missing: each byte is looked at once.
_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)'

_STRING = re.compile(_TEXT, re.DOTALL)
_PIECE = re.compile(rb'(?:[^"]*+' + _TEXT + rb'){1,1000}+|[^"]++', re.DOTALL)
"""Bytes that end outside of a string, with so few strings that they can be cut out at once."""


def count_values(content: bytes | bytearray, limit: int) -> int:
    """Return how many values JSON bytes hold; counting ends where they are more than `limit`.

    A name counts as one, an object or a list as `CONTAINER_WEIGHT`. Counting costs a few
    milliseconds a megabyte, and does not parse.
    """
    values = 1 + _count_marks(content)
    if values <= limit:
        return values

    # Text holds commas and brackets too. It is cut out only here, where it decides.
    values = 1
    for piece in _PIECE.finditer(content):
        values += _count_marks(_STRING.sub(b"", piece.group()))
        if values > limit:
            break
    return values


def _count_marks(content: bytes | bytearray) -> int:
    containers = content.count(b"{") + content.count(b"[")
    return content.count(b",") + content.count(b":") + CONTAINER_WEIGHT * containers


@dataclass(slots=True)
class JsonSize:
    """The size of one parsed value."""

    depth: int = 0
    """Objects and lists on the longest way down; 0 for a number or a string."""

    values: int = 0
    chars: int = 0
    """Characters of all strings and of all names."""

    media_chars: int = 0
    """Characters of the strings under the names of `MEDIA`, which `chars` counts too."""

    has_odd_number: bool = False
    """Whether a number is infinite, or a whole one of more than 64 bits."""


def size_of(value: object) -> JsonSize:
    """Return the size of a parsed JSON value."""
    size = JsonSize()
    level = _containers([value], size)

    # One level after the other instead of recursion: a value may be nested deeply.
    while level:
        size.depth += 1
        deeper: list[Container] = []
        for container in level:
            if isinstance(container, dict):
                size.chars += sum(map(len, container))
                size.media_chars += _media_chars(container)
                deeper += _containers(list(container.values()), size)
            else:
                deeper += _containers(container, size)
        level = deeper

    return size


def _containers(values: list[Any], size: JsonSize) -> list[Container]:
    """Return the objects and lists among `values`; add everything else to `size`.

    Looks at one kind after the other: a list of a hundred thousand token ids is of one kind.
    """
    size.values += len(values)
    kinds = set(map(type, values))

    if str in kinds:
        size.chars += sum(len(value) for value in values if isinstance(value, str))
    if int in kinds:
        numbers = [value for value in values if isinstance(value, int)]
        size.has_odd_number |= min(numbers) < SMALLEST or max(numbers) > LARGEST
    if float in kinds:
        fractions = (value for value in values if isinstance(value, float))
        size.has_odd_number |= not all(map(math.isfinite, fractions))
    if kinds.isdisjoint({dict, list}):
        return []

    return [value for value in values if isinstance(value, dict | list)]


def _media_chars(container: dict[str, Any]) -> int:
    strings = (container.get(name) for name in MEDIA)
    return sum(len(text) for text in strings if isinstance(text, str))
