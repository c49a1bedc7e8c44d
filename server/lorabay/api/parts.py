"""The parts of a server that answer requests, and which of them answer with a version.

Adapters and the base share an engine, and a gate in front of it; a whole model has both of its own.
Knows nothing of requests.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lorabay.accounts.usage.recorder import NoRecorder
from lorabay.api.allowance.allowance import Allowances
from lorabay.api.auto import NoAutoModel
from lorabay.api.meanings import OwnMeanings
from lorabay.api.mixed import NoMixedModel
from lorabay.api.request.cache_salts import CacheSalts
from lorabay.errors import EngineUnavailable
from lorabay.serving.rollouts import NoRollouts
from lorabay.serving.turns.shares import Shares
from lorabay.tracing.tracer import NoTracer

if TYPE_CHECKING:
    from lorabay.accounts.usage.recorder import Recorder
    from lorabay.api.auto import AutoModel
    from lorabay.api.meanings import SharedMeanings
    from lorabay.api.mixed import MixedModel
    from lorabay.catalog.registry.registry import Registry
    from lorabay.catalog.versions import Version
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine, Weights
    from lorabay.serving.rollouts import Rollouts
    from lorabay.serving.turns.turn_gate import TurnGate
    from lorabay.tracing.tracer import Tracer


class Models(Protocol):
    """The engines of whole models, each with the gate in front of it."""

    def engine_of(self, version: Version) -> Engine:
        """Return the engine of a version; raises EngineUnavailable if it is not up yet."""
        ...

    def turns_of(self, version: Version) -> TurnGate:
        """Return the gate in front of the engine of a version, also before that is up."""
        ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a server that answer requests; all exchanges share them."""

    engine: Engine
    registry: Registry
    weights: Weights
    turns: TurnGate
    metrics: Metrics
    usage: Recorder = field(default_factory=NoRecorder)
    allowances: Allowances = field(default_factory=Allowances)
    tracer: Tracer = field(default_factory=NoTracer)
    shares: Shares = field(default_factory=Shares)
    salts: CacheSalts = field(default_factory=CacheSalts)
    models: Models | None = None
    rollouts: Rollouts | NoRollouts = field(default_factory=NoRollouts)
    auto: AutoModel = field(default_factory=NoAutoModel)
    mixtures: MixedModel = field(default_factory=NoMixedModel)
    names: SharedMeanings = field(default_factory=OwnMeanings)

    def engine_of(self, version: Version | None) -> Engine:
        """Return the engine that answers with a version; a whole model has its own.

        Raises EngineUnavailable for a model whose engine is not up yet.
        """
        if self.models is None or version is None or not version.is_model:
            return self.engine
        return self.models.engine_of(version)

    def turns_of(self, version: Version | None) -> TurnGate:
        """Return the gate in front of that engine."""
        if self.models is None or version is None or not version.is_model:
            return self.turns
        return self.models.turns_of(version)

    def context_of(self, version: Version | None) -> int | None:
        """Return the context of a version in tokens; the base's for a model that is not up yet."""
        try:
            return self.engine_of(version).max_model_len
        except EngineUnavailable:
            return self.engine.max_model_len

    def check(self, version: Version | None) -> None:
        """Raise EngineUnavailable unless requests with a version can be answered now.

        A whole model's engine may be down for good while the others' answers, and the reverse;
        `Weights.ensure` tells of it.
        """
        if version is None or not version.is_model:
            self.engine.check()
