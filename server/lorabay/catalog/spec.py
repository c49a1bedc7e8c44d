"""The value types of the catalogue: digests, specs, versions, and reasons for a refusal.

"Cannot be served" is a value here (`Rejected` with every reason), never an exception.
Knows nothing of files being read, of the engine or of requests.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NewType

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lorabay.catalog.names import AdapterName

Digest = NewType("Digest", str)
"""64 lower-case hex characters: sha256 over canonical config and tensors."""

DIGEST_PREFIX = 12
"""Shortest prefix of a digest that a client may use to name a version."""

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
SCALES_FILE = "output_scales.safetensors"
"""In a stored version only: `<module>.scale`, the factor of each output of the base's module (DoRA)."""

_KEPT_PER_CODE, _SHOWN_PER_CODE = 2000, 5
_TRANSIENT = frozenset({"vanished", "changed_while_read", "read_failed", "store_write", "store_full"})


@dataclass(frozen=True, slots=True)
class Reason:
    """One defect: a short stable code for programs and metrics, a sentence for people."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Rejected:
    """Not servable, with every reason found."""

    reasons: tuple[Reason, ...]

    @property
    def codes(self) -> frozenset[str]:
        return frozenset(reason.code for reason in self.reasons)

    @property
    def brief(self) -> Rejected:
        """Every kind of defect; one that repeats (420 wrong tensors) is cut to its first few and a count."""
        return Rejected(_cut(self.reasons, _SHOWN_PER_CODE))

    @property
    def transient(self) -> bool:
        """True when the same folder may pass later without having changed (it was moving, or the disk was full)."""
        return bool(self.codes & _TRANSIENT)


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
    """The share of the update that this version lacks (Frobenius), where it stands for an adapter that is no LoRA."""


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One immutable set of weights of an adapter. Two versions are equal when adapter and digest are."""

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
        return isinstance(other, Version) and (self.adapter, self.digest) == (other.adapter, other.digest)

    def __hash__(self) -> int:
        return hash((self.adapter, self.digest))


def quoted(value: object) -> str:
    """`value` from an untrusted file, safe and short enough for a log line or a terminal."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:90]}... ({len(text)} characters)"


def rejected(reasons: Iterable[Reason]) -> Rejected:
    """Every reason once; of a kind that repeats more often than any model has modules, the first of them and a
    count."""
    return Rejected(_cut(dict.fromkeys(reasons), _KEPT_PER_CODE))


def _cut(reasons: Iterable[Reason], count: int) -> tuple[Reason, ...]:
    by_code: defaultdict[str, list[Reason]] = defaultdict(list)
    for reason in reasons:
        by_code[reason.code].append(reason)
    kept: list[Reason] = []
    for code, same in by_code.items():
        kept += same[:count]
        if len(same) > count:
            kept.append(Reason(code, f"... and {len(same) - count} more of this kind"))
    return tuple(kept)
