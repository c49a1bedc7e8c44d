"""The base's own token embeddings as an encoder: what the words of a text mean to the model.

Words that mean the same have close vectors, also those that no training question has. Only the
embedding is read, some tens of megabytes as they are stored, and never a second base. Layers are
left out: each costs milliseconds, and `docs/guides/auto.md` has figures of how little they add.
Knows nothing of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lorabay.base.files import BaseFiles
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from lorabay.files.rounding import STORED, widen

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

MOST_TOKENS = 128
"""Tokens of a question that are read; what it is about is said by then."""

TOKENIZER_FILE = "tokenizer.json"

_ENDS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "tok_embeddings.weight")
"""How the names of token embeddings end, in the files of most models."""


@dataclass(frozen=True, slots=True)
class Encoder:
    """The tokens of one base, and their vectors (vocabulary, width) as they are stored."""

    tokenizer: Any
    stored: NDArray[np.generic]
    dtype: str

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the encoder of a base folder; raises SetupError for a base without its parts."""
        weights = BaseWeights.of(BaseFiles.open(folder))
        name = next((name for name in weights.tensors if name.endswith(_ENDS)), None)
        problem = "it has no token embedding" if name is None else weights.problem(name)
        if name is None or problem is not None:
            raise SetupError(f"a router cannot read the base in {folder}: {problem}")

        tensor = weights.tensors[name]
        rows = tensor.read_bytes().view(STORED[tensor.dtype]).reshape(tensor.shape)
        return cls(_read_tokenizer(folder), rows, tensor.dtype)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self.stored.shape[1])

    @property
    def vocabulary(self) -> int:
        """The number of tokens."""
        return len(self.stored)

    def tokens(self, text: str) -> list[int]:
        """Return the first tokens of a text."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return found[:MOST_TOKENS]

    def mean(self, tokens: Sequence[int], weights: Vector) -> Vector:
        """Return the mean vector (width) of tokens, by `weights` of all (vocabulary); zeros of
        none.
        """
        if not tokens:
            return np.zeros(self.width, np.float32)

        chosen = list(tokens)
        rows = self.stored[chosen]
        vectors = np.empty(rows.shape, np.float32)
        widen(rows, self.dtype, vectors)
        shares = weights[chosen] / weights[chosen].sum()
        mean: Vector = shares @ vectors
        return mean


def _read_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer

    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise SetupError(
            f"a router needs {TOKENIZER_FILE}, which the base in {folder} does not have"
        )
    return Tokenizer.from_file(str(file))
