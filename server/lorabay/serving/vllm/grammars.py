"""The seam between vLLM's front end and the gate of grammars.

vLLM validates a grammar on the event loop, which compiles half of it, and has the engine compile
all of it. Here every request passes a `GrammarGate` first, just before it goes to the engine,
whatever in the request its grammar came from: then vLLM's own validation has nothing left to do,
and is left out. Knows nothing of how a grammar is tried.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from vllm.exceptions import GracefulHTTPError, VLLMValidationError
from vllm.renderers.inputs.preprocess import extract_prompt_len
from vllm.sampling_params import SamplingParams, StructuredOutputsParams, check_json_nesting
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.structured_output import backend_xgrammar
from vllm.v1.structured_output.utils import choice_as_grammar, grammar_is_likely_lark

from lorabay.errors import EngineUnavailable, InvalidRequest
from lorabay.reasons import quoted
from lorabay.serving.grammar_helper import GrammarHelper
from lorabay.serving.grammars import GrammarGate, GrammarLimits
from lorabay.serving.vllm import schema_features
from lorabay.serving.vllm.admission import NEWCOMER, current
from lorabay.serving.vllm.grammar_trial import TRIAL_ENVIRONMENT, preparation

if TYPE_CHECKING:
    from pydantic import BaseModel

GIVEN = tuple(field.name for field in fields(StructuredOutputsParams) if field.init)
"""What a client can say of a grammar; vLLM's other fields hold its own choices."""


class GatedLLM(AsyncLLM):  # type: ignore[misc] # vLLM has no types
    """vLLM's front end, whose requests pass a gate with their grammars."""

    _gate: GrammarGate | None = None

    def pass_gate(self, gate: GrammarGate) -> None:
        """Let requests pass `gate` from here on, and leave vLLM's own validation out."""
        self._gate = gate
        # Without it vLLM takes the parameters as they are.
        self.input_processor.structured_outputs_config = None

    async def add_request(
        self, request_id: str, prompt: Any, params: Any, *arguments: Any, **options: Any
    ) -> Any:
        """Hand a request to the engine, after its prompt and its grammar were let through.

        Raises VLLMValidationError or GracefulHTTPError where they are not.
        """
        admission = current.get()
        if admission is not None:
            await admission.let_in(extract_prompt_len(self.model_config, prompt))
        if self.vllm_config.scheduler_config.policy == "fcfs":
            # vLLM reads no priorities then; the plugin reads this one.
            goes_first = admission is not None and admission.goes_first
            options["priority"] = NEWCOMER if goes_first else 0

        wanted = params.structured_outputs if isinstance(params, SamplingParams) else None
        if self._gate is not None and wanted is not None:
            try:
                await settle(wanted, self._gate, self.vllm_config.structured_outputs_config.backend)
            except InvalidRequest as error:
                raise VLLMValidationError(error.message) from error
            except EngineUnavailable as error:
                status = HTTPStatus.SERVICE_UNAVAILABLE
                raise GracefulHTTPError(error.message, status) from error

        return await super().add_request(request_id, prompt, params, *arguments, **options)


class EngineGrammars:
    """The gate of one engine's grammars, from each start of the engine to its end.

    `queue` and `count` are those of `GrammarGate`.
    """

    def __init__(
        self,
        limits: GrammarLimits | None = None,
        *,
        queue: int = 16,
        count: Callable[[str], None] = lambda outcome: None,
    ) -> None:
        self._limits = limits or GrammarLimits()
        self._make_gate = partial(GrammarGate, queue=queue, count=count)
        self._gate: GrammarGate | None = None

    def open(self, llm: GatedLLM) -> None:
        """Try the grammars of a started engine from here on, in a process of their own."""
        keep_compilers_off_the_loop()
        helper = GrammarHelper(preparation(llm.vllm_config), self._limits, TRIAL_ENVIRONMENT)
        self._gate = self._make_gate(helper)
        llm.pass_gate(self._gate)

    async def admit(self, request: BaseModel) -> None:
        """Have the grammar that a request names itself let through, before anything is begun.

        What vLLM makes of a request's tools is let through later, on the way to the engine. Raises
        what `GrammarGate.admit` raises, and InvalidRequest for a schema that says more than an
        answer can be bound to. Tools describe as much as they like.
        """
        extract = getattr(request, "extract_structured_outputs", lambda: None)
        wanted = extract()
        if wanted is None or self._gate is None:
            return

        keywords = await asyncio.to_thread(schema_features.unfollowed, wanted.json)
        if keywords:
            named = quoted(list(keywords))
            raise InvalidRequest(
                f"the structured output is refused: no answer can be bound to {named} of "
                "its JSON schema; say it in other keywords, or check the answer yourself"
            )
        await admit(wanted, self._gate)

    async def close(self) -> None:
        """End all trials and their process; idempotent."""
        gate, self._gate = self._gate, None
        if gate is not None:
            await gate.stop()


async def admit(wanted: StructuredOutputsParams, gate: GrammarGate) -> str | None:
    """Return the backend that takes a grammar, None if there is no grammar.

    Raises what `GrammarGate.admit` raises.
    """
    if wanted.all_constraints_none():
        return None
    # A large schema takes longer than the loop should stand still.
    return await gate.admit(await asyncio.to_thread(encode, wanted))


async def settle(wanted: StructuredOutputsParams, gate: GrammarGate, configured: str) -> None:
    """Have a grammar let through, and note in it what vLLM's own validation would.

    Several requests may share the parameters; the first that was let through settles them.
    """
    if wanted._backend is not None:
        return

    backend = await admit(wanted, gate)
    if backend is None or wanted._backend is not None:
        return

    if backend == "xgrammar" and wanted.choice is not None:
        # xgrammar knows no choices.
        wanted.grammar = await asyncio.to_thread(choice_as_grammar, wanted.choice)
        wanted.choice = None
    wanted._backend = backend
    wanted._backend_was_auto = configured == "auto"


def encode(wanted: StructuredOutputsParams) -> bytes:
    """Return all that a client said of a grammar: equal bytes mean equal grammars."""
    given = {name: getattr(wanted, name) for name in GIVEN}
    return json.dumps({name: value for name, value in given.items() if value is not None}).encode()


def check_lightly(params: SamplingParams) -> None:
    """Raise VLLMValidationError for what vLLM's parsers must know of a grammar on the event loop.

    They ask whether xgrammar takes it, and only then convert it, to join it with tools. Lark is
    refused to them, because converting it takes xgrammar's compiler; vLLM then lets the grammar
    rule alone.
    """
    wanted = params.structured_outputs
    if wanted is None:
        return

    check_json_nesting(wanted.json)
    check_json_nesting(wanted.structural_tag, structural_tag=True)
    schema = json.loads(wanted.json) if isinstance(wanted.json, str) else wanted.json
    if schema and backend_xgrammar.has_xgrammar_unsupported_json_features(schema):
        raise VLLMValidationError("The schema has features that xgrammar does not support.")
    if wanted.grammar and grammar_is_likely_lark(wanted.grammar):
        raise VLLMValidationError("A Lark grammar cannot be joined with tools.")


def keep_compilers_off_the_loop() -> None:
    """Replace what vLLM's request types and parsers call to have xgrammar try a grammar.

    They call it on the event loop, for structural tags and for tools. The gate tries the same
    grammar later. Idempotent.
    """
    schema_features.install()
    backend_xgrammar.validate_xgrammar_grammar = check_lightly
