"""A hand-written vLLM engine."""

from __future__ import annotations

from typing import Any

from vllm.v1.engine.exceptions import EngineDeadError


class Llm:
    """vLLM's engine, as far as loads and signs of life go; `outcomes` are those of its workers."""

    errored = False
    output_handler = None
    logger_manager = None

    def __init__(self) -> None:
        self.engine_core = self
        self.output_processor = self
        self.calls: list[tuple[str, Any]] = []
        self.outcomes: list[tuple[str, str]] = [("loaded", "")]
        self.failure: Exception | None = None
        self.told: list[Exception] = []
        self.looks = [0]
        """How often each engine has to be asked until it has staged."""

    async def call_utility_all_async(
        self, utility: str, method: str, timeout: None, args: tuple[Any, ...], kwargs: None
    ) -> list[list[Any]]:
        assert utility == "collective_rpc"
        self.calls.append((method, args))
        if self.failure is not None:
            raise self.failure
        answers: list[list[Any]] = []
        for left in self.looks:
            answers.append([None] if left else list(self.outcomes))
        self.looks = [max(0, left - 1) for left in self.looks]
        return answers

    async def add_lora(self, request: Any) -> bool:
        self.calls.append(("add_lora", request.lora_int_id))
        if self.failure is not None:
            raise self.failure
        return True

    async def remove_lora(self, lora_id: int) -> bool:
        self.calls.append(("remove_lora", lora_id))
        return False

    async def is_sleeping(self) -> bool:
        if self.errored:
            raise EngineDeadError
        return False

    def propagate_error(self, error: Exception) -> None:
        self.told.append(error)

    def shutdown(self, timeout: float) -> None:
        self.errored = True

    @property
    def dead_error(self) -> Exception:
        return EngineDeadError()
