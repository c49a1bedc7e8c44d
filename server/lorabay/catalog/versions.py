"""The value types of the catalogue: digests, specs and versions.

Knows nothing of files being read, of the engine or of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from lorabay.catalog.names import AdapterName

Digest = NewType("Digest", str)
"""64 lower-case hex characters: sha256 over canonical config and tensors."""

DIGEST_PREFIX = 12
"""Shortest prefix of a digest that a client may use to name a version."""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """What was validated about one set of weights."""

    digest: Digest
    format: str
    rank: int
    alpha: float
    modules: tuple[str, ...]
    dtype: str
    size_bytes: int
    base_model: str | None = None
    warnings: tuple[str, ...] = ()
    approximate: float | None = None
    """The share of the update that this version lacks (Frobenius), where it stands for an adapter
    that is no LoRA.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One immutable set of weights of an adapter. Two versions are equal when adapter and digest
    are.
    """

    adapter: AdapterName
    spec: AdapterSpec
    path: Path

    @property
    def digest(self) -> Digest:
        return self.spec.digest

    @property
    def id(self) -> str:
        return f"{self.adapter}@{self.digest[:DIGEST_PREFIX]}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and (self.adapter, self.digest) == (
            other.adapter,
            other.digest,
        )

    def __hash__(self) -> int:
        return hash((self.adapter, self.digest))
