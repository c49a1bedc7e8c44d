"""Versions of adapters, and what identifies and describes them.

Values only. Knows nothing of how files are read, of the engine, or of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NewType

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults
from lorabay.catalog.names import AdapterName

Digest = NewType("Digest", str)
"""Identity of a version, or of weights: a sha256 as 64 lower-case hex digits; see `digests`."""

WHOLE_MODEL = "model"
"""The format of a version that is no adapter: a model of its own, which needs its own engine."""

DIGEST_PREFIX = 12
"""Hex digits of a version's public id, and the fewest by which a client may name a version."""


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """Description of one version, made when it was accepted."""

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
    """Relative error (Frobenius) of a version that approximates an adapter which LoRA cannot
    express exactly; None for an exact one.
    """
    weights_digest: Digest | None = None
    """Identity of the weights, which versions with other defaults share. None if it is `digest`."""

    @property
    def is_model(self) -> bool:
        """Whether it is a whole model, with an engine of its own, and no adapter of the base."""
        return self.format == WHOLE_MODEL

    @property
    def weights(self) -> Digest:
        """Identity of the weights: what the engine loads, whatever the version is called."""
        return self.weights_digest or self.digest


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One immutable set of weights and defaults of an adapter.

    `path` is the folder of the weights, which versions with other defaults share. Versions are
    equal if their adapters and digests are, wherever their files lie.
    """

    adapter: AdapterName
    spec: AdapterSpec
    path: Path
    defaults: AdapterDefaults = NO_DEFAULTS

    @property
    def digest(self) -> Digest:
        return self.spec.digest

    @property
    def weights(self) -> Digest:
        """Identity of the weights: what the engine loads, whatever the version is called."""
        return self.spec.weights

    @property
    def is_model(self) -> bool:
        """Whether it is a whole model, with an engine of its own, and no adapter of the base."""
        return self.spec.is_model

    @property
    def id(self) -> str:
        """Public name of the version, such as `finance@3f9c1a2b4d5e`."""
        return f"{self.adapter}@{self.digest[:DIGEST_PREFIX]}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return False
        return (self.adapter, self.digest) == (other.adapter, other.digest)

    def __hash__(self) -> int:
        return hash((self.adapter, self.digest))


NO_VERSION = Version(
    AdapterName("-"),
    AdapterSpec(Digest("0" * 64), format="", rank=0, alpha=0.0, modules=(), dtype="", size_bytes=0),
    Path("/nonexistent"),
)
"""Stands where a name means nothing, so that whoever asks about it does the same work. No adapter
can have its name.
"""


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a version that is stored and remembered is not offered in this run.

    `is_passing` says that the disk did not give it: it is asked again.
    """

    reason: str
    is_passing: bool = False
