"""The engines of whole models, of which one stands for all."""

from __future__ import annotations

from lorabay.catalog.versions import Version
from lorabay.errors import EngineUnavailable
from lorabay.serving.turns.turn_gate import TurnGate
from tests.fake_engine import FakeEngine
from tests.slots import enough_slots


class FakeModels:
    """Without an `engine`, none is up."""

    def __init__(self, engine: FakeEngine | None = None) -> None:
        self.engine = engine
        self.turns = enough_slots()

    def engine_of(self, version: Version) -> FakeEngine:
        if self.engine is None:
            raise EngineUnavailable(f"{version.id} is not up yet", retry_after=10.0)
        return self.engine

    def turns_of(self, version: Version) -> TurnGate:
        return self.turns
