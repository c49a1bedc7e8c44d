"""vLLM's engine as the settings want it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lorabay.server.composition import grammar_limits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.base.find import BaseFolder
    from lorabay.metrics import Metrics
    from lorabay.serving.engine import Engine
    from lorabay.settings import Settings


def make_vllm_engine(
    base: BaseFolder,
    options: Mapping[str, Any],
    settings: Settings,
    metrics: Metrics,
    *,
    traced: bool = False,
    adapters: bool = True,
    pids: set[int] | None = None,
) -> Engine:
    """Return vLLM's engine for a base, not started yet; `traced` if it makes spans of requests.

    Without `adapters` it is a whole model's own. `pids` are the processes of all engines. Imports
    vLLM, which takes seconds. Raises UsageError for options that vLLM does not take.
    """
    from lorabay.serving.vllm.engine import VllmEngine
    from lorabay.serving.vllm.grammars import EngineGrammars

    grammars = EngineGrammars(
        grammar_limits(settings),
        queue=settings.grammar_queue,
        count=lambda outcome: metrics.grammars.labels(outcome).inc(),
    )
    return VllmEngine(
        base,
        options,
        grammars,
        max_asked_tokens=settings.max_asked_tokens,
        max_prompt_logprob_tokens=settings.max_prompt_logprob_tokens,
        compile_first=settings.compile_first,
        traced=traced,
        adapters=adapters,
        pids=pids,
    )
