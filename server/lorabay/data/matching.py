"""The form of a text in which texts are compared, and how similar two are.

Width, case and spaces do not count. The form is for comparing only, never for output: full-width
punctuation is meant. Similarity is that of Jaccard, over runs of five characters.
"""

from __future__ import annotations

import hashlib
import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lorabay.data.example import Example

GRAM = 5
"""Characters of a run."""

_FACTOR = 0x100000001B3


def matching(text: str) -> str:
    """Return a text in lower case and normal width, with one space where any white space was."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def matching_example(example: Example) -> str:
    """Return all that was said in an example, in order, in the form for comparing."""
    return "\n".join(map(matching, example.spoken))


def digest(text: str) -> bytes:
    """Return 16 bytes that stand for a text, whatever is in it."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def grams(text: str) -> NDArray[np.uint64]:
    """Return a hash for each different run of five characters, in rising order.

    A shorter text is one run.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.uint64)
    length = min(GRAM, len(codes))
    count = len(codes) - length + 1

    hashes = np.zeros(count, dtype=np.uint64)
    for place in range(length):
        hashes = hashes * np.uint64(_FACTOR) + codes[place : place + count] + np.uint64(1)
    return np.unique(mixed(hashes))


def mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the finaliser of splitmix64 of each value: equal bits in, every bit even out."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def jaccard(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> float:
    """Return the size of what two sets share over that of what they have together."""
    shared = len(np.intersect1d(first, second, assume_unique=True))
    return shared / (len(first) + len(second) - shared)
