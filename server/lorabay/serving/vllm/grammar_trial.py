"""A trial of one grammar with vLLM's own backends: validated, compiled, and followed for a while.

It runs in the helper process (`grammar_trials`), with the engine's configuration and tokenizer, and
does there what vLLM's front end and its engine would do. Following the grammar for some tokens
finds those that compile quickly and then take long for each token, which the engine spends between
two steps of everybody's answers. Knows nothing of processes.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from vllm.exceptions import VLLMError
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.tokenizers import cached_tokenizer_from_config
from vllm.v1.structured_output.request import get_structured_output_key

from lorabay.serving.grammars import GrammarLimits, Passed, Refused, Verdict
from lorabay.serving.vllm import schema_features

if TYPE_CHECKING:
    from vllm.config import VllmConfig

    from lorabay.serving.grammar_trials import Prepare, Try

Result = TypeVar("Result")

TOKENS = 32
"""Tokens for which a grammar is followed."""

BACKENDS = {
    "xgrammar": ("vllm.v1.structured_output.backend_xgrammar", "XgrammarBackend"),
    "guidance": ("vllm.v1.structured_output.backend_guidance", "GuidanceBackend"),
    "outlines": ("vllm.v1.structured_output.backend_outlines", "OutlinesBackend"),
    "lm-format-enforcer": (
        "vllm.v1.structured_output.backend_lm_format_enforcer",
        "LMFormatEnforcerBackend",
    ),
}
"""Module and class of each of vLLM's backends."""

TRIAL_ENVIRONMENT = {
    # A trial has limits of its own around it.
    "VLLM_REGEX_COMPILATION_TIMEOUT_S": "0",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
"""Variables of a process in which vLLM tries grammars."""

OUT_OF_MEMORY = "bad_alloc"
"""What C++ says when there is no memory left, however vLLM wraps it."""

CPP_PLACE = re.compile(r"\[[\d:]+\] \S+\.(cc|cpp|h):\d+: ")
"""What xgrammar puts before its messages: a time, and a place in its source."""


def preparation(config: VllmConfig) -> Prepare:
    """Return what the helper process calls to be ready for grammars of an engine."""
    return partial(prepare, config)


def prepare(config: VllmConfig, limits: GrammarLimits) -> Try:
    """Read the engine's tokenizer and make ready the backend that most grammars take."""
    schema_features.install()
    trials = Trials(config, limits.token_s)
    configured = config.structured_outputs_config.backend
    if trials.tokenizer is not None:
        trials.backend("xgrammar" if configured == "auto" else configured)
    return trials.attempt


class Trials:
    """Tries grammars with the backends of one engine."""

    def __init__(self, config: VllmConfig, token_s: float) -> None:
        self._config = config
        self._token_s = token_s
        self._backends: dict[str, Any] = {}

    @cached_property
    def tokenizer(self) -> Any:
        """The engine's tokenizer; None if the engine runs without one."""
        return cached_tokenizer_from_config(self._config.model_config)

    @cached_property
    def _vocabulary(self) -> int:
        return int(self._config.model_config.get_vocab_size())

    def backend(self, name: str) -> Any:
        """Return a backend as the engine builds it."""
        if name not in self._backends:
            from importlib import import_module

            module, kind = BACKENDS[name]
            make = getattr(import_module(module), kind)
            self._backends[name] = make(
                self._config, tokenizer=self.tokenizer, vocab_size=self._vocabulary
            )
        return self._backends[name]

    def attempt(self, grammar: bytes) -> Verdict:
        """Return the verdict on a grammar: JSON of the fields of vLLM's StructuredOutputsParams.

        Raises MemoryError, and whatever a backend raises that is not made for it.
        """
        try:
            wanted = self._validate(StructuredOutputsParams(**json.loads(grammar)))
            backend = self.backend(wanted._backend)
            compiled = backend.compile_grammar(*get_structured_output_key(wanted))
        except (VLLMError, ValueError, TypeError, RuntimeError, KeyError) as error:
            reason = reason_of(error)
            if OUT_OF_MEMORY in reason:
                raise MemoryError from error
            return Refused(reason)

        obstacle = self._reason_of_misfit(backend) or self._follow(compiled)
        return Passed(wanted._backend) if obstacle is None else Refused(obstacle)

    def _validate(self, wanted: StructuredOutputsParams) -> StructuredOutputsParams:
        """Return what vLLM's front end makes of a grammar, with the backend that it chooses."""
        params = SamplingParams(structured_outputs=wanted)
        params._validate_structured_outputs(
            self._config.model_config, self._config.structured_outputs_config, self.tokenizer
        )
        return wanted

    def _reason_of_misfit(self, backend: Any) -> str | None:
        """Return why the engine cannot use this backend beside others, None if it can.

        All grammars of a batch share one mask, which is as wide as the model's vocabulary.
        """
        alone = self._config.structured_outputs_config.backend != "auto"
        if alone or _words(self._mask_bits(backend)) == _words(self._vocabulary):
            return None
        return "the backend that takes it does not fit this base's tokenizer"

    def _mask_bits(self, backend: Any) -> int:
        own = getattr(backend, "ll_tokenizer", None)
        return self._vocabulary if own is None else int(own.vocab_size)

    def _follow(self, compiled: Any) -> str | None:
        """Return why an answer cannot follow a compiled grammar, None if it can."""
        chance = random.Random(0)
        for number in range(TOKENS):
            error = _error_of(compiled)
            if error is not None or compiled.is_terminated():
                return error

            allowed, seconds = _timed(partial(self._allowed, compiled))
            if not len(allowed):
                # Later on, an answer seldom comes this way, and the engine ends the one that does.
                return None if number else "no token of this base's vocabulary can begin it"

            token = int(chance.choice(allowed))
            _, more = _timed(partial(compiled.accept_tokens, "trial", [token]))
            if max(seconds, more) > self._token_s:
                return _too_slow(max(seconds, more), self._token_s)

        return _error_of(compiled)

    def _allowed(self, compiled: Any) -> np.ndarray[Any, np.dtype[np.intp]]:
        """Return the tokens that may come next; the end only where nothing else may."""
        mask = torch.full((1, _words(self._mask_bits(compiled))), -1, dtype=torch.int32)
        compiled.fill_bitmask(mask, 0)

        bits = np.unpackbits(mask.numpy().view(np.uint8), bitorder="little")
        tokens = np.flatnonzero(bits[: self._vocabulary])
        going_on = tokens[tokens != self.tokenizer.eos_token_id]
        return going_on if len(going_on) else tokens


def _timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """Return a result and the CPU seconds that it took."""
    started = time.process_time()
    result = work()
    return result, time.process_time() - started


def _words(bits: int) -> int:
    return (bits + 31) // 32


def _error_of(compiled: Any) -> str | None:
    """Return the error of a grammar that llguidance keeps instead of raising it."""
    matcher = getattr(compiled, "ll_matcher", None)
    return None if matcher is None else (clean(matcher.get_error()) or None)


def _too_slow(seconds: float, limit: float) -> str:
    return (
        f"it takes {seconds * 1000:.0f} ms of CPU time for one token; at most "
        f"{limit * 1000:g} ms are allowed (the server's grammar_token_s)"
    )


def reason_of(error: BaseException) -> str:
    """Return what an error says of a grammar, with its cause where that says more."""
    said = str(error.args[0]) if isinstance(error, VLLMError) and error.args else str(error)
    message = clean(said) or type(error).__name__
    cause = clean(str(error.__cause__ or ""))
    if not cause or cause in message:
        return message
    return f"{message.rstrip('.')}: {cause}"


def clean(text: str) -> str:
    """Return the first line of a compiler's message that says something, without its source."""
    lines = (CPP_PLACE.sub("", line).strip() for line in text.splitlines())
    return next(filter(None, lines), "")
