"""Asks whether a prompt may be computed, when vLLM has counted it and the engine has not seen it.

One call may have several prompts; each comes by here on its way to the engine. vLLM tells a failure
in its own words, or as an event of a stream: what was really raised is kept here for whoever ran
the call. Knows nothing of why a prompt is refused.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

from vllm.exceptions import VLLMValidationError

from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from lorabay.serving.engine import Meter

NEWCOMER = -1
"""vLLM's priority of a request that goes first: by that the plugin knows it."""

current: ContextVar[Admission | None] = ContextVar("admission", default=None)
"""The admission of the call that runs in this context, and in the tasks that it begins."""


class Admission:
    """The prompts of one call; `meter.admit` decides on them."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.goes_first = meter.goes_first
        """Whether the engine may read the prompts before others."""
        self._tokens = 0
        self._refusal: LorabayError | None = None

    async def let_in(self, tokens: int) -> None:
        """Return when a prompt of so many tokens may be computed.

        Raises VLLMValidationError, which vLLM takes for a fault of the request, if it may not.
        """
        self._tokens += tokens
        try:
            await self._meter.admit(self._tokens)
        except LorabayError as refusal:
            self._refusal = refusal
            raise VLLMValidationError(refusal.message) from refusal

    def check(self) -> None:
        """Raise what refused a prompt, if one was refused."""
        if self._refusal is not None:
            raise self._refusal
