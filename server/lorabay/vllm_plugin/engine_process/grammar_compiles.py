"""Grammars in the engine's process: compiled aside, by the backend that was chosen for each.

The server lets a grammar through after it has compiled it elsewhere, within limits. The engine
compiles it again, and vLLM 0.32 leaves that to threads of the same priority as those that compute
tokens, eight of them for one grammar, goes on for requests that were aborted, and gives every
grammar to whichever backend took the first one of the engine's life. Knows nothing of adapters.
"""

from __future__ import annotations

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from threading import Lock
from typing import Any

logger = logging.getLogger(__name__)

OUTLINES_KEPT = 8
"""Compiled grammars that outlines keeps."""

NICENESS = 5
"""`nice` value of the compiling threads: that of the thread which stages adapters."""


@cache
def install() -> None:
    """Replace the parts of vLLM's manager of grammars; once a process."""
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.structured_output import StructuredOutputManager

    # A grammar that was let through must not fail because the machine is busy.
    os.environ.setdefault("VLLM_REGEX_COMPILATION_TIMEOUT_S", "0")
    compile_aside(StructuredOutputManager)
    cancel_with_requests(Scheduler)


def compile_aside(manager: Any) -> None:
    """Let vLLM's manager of grammars compile in threads that step aside, each with its backend."""
    build = manager.__init__

    def __init__(self: Any, *arguments: Any, **options: Any) -> None:
        build(self, *arguments, **options)
        self.backends = {}
        self.making_backend = Lock()
        if hasattr(self, "executor"):  # not where the engine runs without a tokenizer
            self.executor = ThreadPoolExecutor(
                self.executor._max_workers, "lorabay-grammars", initializer=_step_aside
            )

    def grammar_init(self: Any, request: Any) -> None:
        wanted = request.structured_output_request
        if wanted is not None:
            wanted.grammar = self.executor.submit(self._create_grammar, request)

    def _create_grammar(self: Any, request: Any) -> Any:
        wanted = request.structured_output_request
        kind, text = wanted.structured_output_key
        stop = request.sampling_params.all_stop_token_ids
        try:
            backend = backend_of(self, wanted.params._backend)
            return backend.compile_grammar(kind, text, stop_token_ids=stop)
        except Exception:
            logger.exception("grammar of request %s", request.request_id)
            raise
        except BaseException as panic:  # one in Rust would end the engine's loop
            raise RuntimeError(f"the grammar's compiler failed: {panic}") from panic

    manager.__init__ = __init__
    manager.grammar_init = grammar_init
    manager._create_grammar = _create_grammar


def backend_of(manager: Any, name: str) -> Any:
    """Return a backend of a manager, made at its first grammar."""
    with manager.making_backend:
        if name not in manager.backends:
            manager.backends[name] = make_backend(manager, name)
        # vLLM asks one of them for the mask that all share.
        manager.backend = manager.backend or manager.backends[name]
        return manager.backends[name]


def make_backend(manager: Any, name: str) -> Any:
    """Return one of vLLM's backends, as its manager would build it but in one thread."""
    from vllm.v1.structured_output.backend_guidance import GuidanceBackend
    from vllm.v1.structured_output.backend_xgrammar import XgrammarBackend

    options = {
        "tokenizer": manager.tokenizer,
        "vocab_size": manager.vllm_config.model_config.get_vocab_size(),
    }
    if name == "xgrammar":
        return in_one_thread(XgrammarBackend(manager.vllm_config, **options))
    if name == "guidance":
        return GuidanceBackend(manager.vllm_config, **options)
    if name == "outlines":
        from vllm.v1.structured_output.backend_outlines import OutlinesBackend

        return with_small_cache(OutlinesBackend(manager.vllm_config, **options))
    if name == "lm-format-enforcer":
        from vllm.v1.structured_output.backend_lm_format_enforcer import LMFormatEnforcerBackend

        return LMFormatEnforcerBackend(manager.vllm_config, **options)
    raise ValueError(f"unknown structured output backend: {name}")


def in_one_thread(backend: Any) -> Any:
    """Let xgrammar compile in the thread that calls it."""
    import xgrammar

    # The compiler does not tell its tokenizer, but what it has compiled does.
    sample = backend.compiler.compile_grammar('root ::= "a"')
    backend.compiler = xgrammar.GrammarCompiler(
        sample.tokenizer_info,
        max_threads=1,
        cache_enabled=True,
        cache_limit_bytes=backend.compiler.cache_limit_bytes,
    )
    return backend


def with_small_cache(backend: Any) -> Any:
    """Let outlines keep few compiled grammars: it counts them, and one may have a quarter of a GiB.

    vLLM's other cache, on disk, is the choice of whoever sets its variable.
    """
    from cachetools import LRUCache

    if isinstance(backend.cache, LRUCache):
        backend.cache = LRUCache(maxsize=OUTLINES_KEPT)
    return backend


def cancel_with_requests(scheduler: Any) -> None:
    """Let a scheduler drop the compiling of a request that ends before it has begun."""
    finish = scheduler.finish_requests

    def finish_requests(self: Any, *arguments: Any, **options: Any) -> Any:
        finished = finish(self, *arguments, **options)
        for request in finished:
            wanted = request.structured_output_request
            compiling = None if wanted is None else wanted._grammar
            if isinstance(compiling, Future):
                compiling.cancel()
        return finished

    scheduler.finish_requests = finish_requests


def _step_aside() -> None:
    """Give the thread a low priority and any core; threads that it starts inherit both."""
    os.nice(NICENESS)
    # vLLM may have bound the thread that this one comes from to one core.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
