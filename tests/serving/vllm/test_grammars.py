"""The seam between vLLM's front end and the gate, with a gate that a test opens and shuts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import pytest
import xgrammar
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest
from vllm.exceptions import VLLMValidationError
from vllm.pooling_params import PoolingParams
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.structured_output import backend_xgrammar

from lorabay.errors import EngineUnavailable, InvalidRequest
from lorabay.serving.grammars import GrammarGate, Passed, Refused, Verdict
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.grammars import (
    EngineGrammars,
    GatedLLM,
    check_lightly,
    encode,
    keep_compilers_off_the_loop,
    settle,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
MESSAGES = [{"role": "user", "content": "Hello"}]


class Compiler:
    """Says of every grammar what a test wants."""

    def __init__(self, verdict: Verdict | EngineUnavailable) -> None:
        self.verdict = verdict
        self.asked: list[dict[str, Any]] = []

    async def compile(self, grammar: bytes) -> Verdict:
        self.asked.append(json.loads(grammar))
        if isinstance(self.verdict, EngineUnavailable):
            raise self.verdict
        return self.verdict

    async def stop(self) -> None:
        self.verdict = EngineUnavailable("stopped")


@pytest.fixture
def compiler() -> Compiler:
    return Compiler(Passed("xgrammar"))


@pytest.fixture
def gate(compiler: Compiler) -> GrammarGate:
    return GrammarGate(compiler, queue=4)


class InputProcessor:
    structured_outputs_config: object = "vLLM's own"


@pytest.fixture
def llm(gate: GrammarGate, monkeypatch: pytest.MonkeyPatch) -> GatedLLM:
    """A front end without an engine; what it would hand on is in `handed_on`."""

    async def add_request(self: Any, request_id: str, prompt: Any, params: Any, **options: Any):
        self.handed_on.append(params)
        return "queue"

    monkeypatch.setattr(AsyncLLM, "add_request", add_request)
    monkeypatch.setattr(AsyncLLM, "__del__", lambda self: None)
    llm = GatedLLM.__new__(GatedLLM)
    llm.handed_on = []
    llm.input_processor = InputProcessor()
    llm.vllm_config = cast("Any", type("Config", (), {}))()
    llm.vllm_config.structured_outputs_config = type("Config", (), {"backend": "auto"})()
    llm.vllm_config.scheduler_config = type("Config", (), {"policy": "fcfs"})()
    llm.pass_gate(gate)
    return llm


def asking(**grammar: Any) -> SamplingParams:
    return SamplingParams(structured_outputs=StructuredOutputsParams(**grammar))


async def test_a_request_with_a_grammar_goes_on_when_it_was_let_through(
    llm: GatedLLM, compiler: Compiler
) -> None:
    """Its parameters hold what vLLM's own validation would have put there."""
    params = asking(json=SCHEMA)
    assert await llm.add_request("r", "prompt", params, lora_request=None) == "queue"
    assert compiler.asked == [{"json": SCHEMA} | defaults()]
    assert llm.handed_on == [params]
    wanted = params.structured_outputs
    assert wanted is not None
    assert (wanted._backend, wanted._backend_was_auto) == ("xgrammar", True)


def defaults() -> dict[str, Any]:
    return {"disable_any_whitespace": False, "disable_additional_properties": False}


async def test_vllms_own_validation_is_left_out(llm: GatedLLM) -> None:
    """It would compile half of the grammar on the event loop."""
    assert llm.input_processor.structured_outputs_config is None


@pytest.mark.parametrize("params", [SamplingParams(), PoolingParams()])
async def test_a_request_without_a_grammar_passes_at_once(
    llm: GatedLLM, compiler: Compiler, params: Any
) -> None:
    """Nothing is asked for it."""
    await llm.add_request("r", "prompt", params)
    assert llm.handed_on == [params]
    assert compiler.asked == []


@pytest.mark.parametrize(
    ("verdict", "status"),
    [(Refused("it is wrong"), 400), (EngineUnavailable("it is wrong", retry_after=1.0), 503)],
)
async def test_a_request_that_is_not_let_through_fails_in_vllms_words(
    llm: GatedLLM, compiler: Compiler, verdict: Verdict | EngineUnavailable, status: int
) -> None:
    """vLLM hands its own exceptions on, and they become the same answer as elsewhere."""
    compiler.verdict = verdict
    with pytest.raises(vllm_errors.EngineFailure) as caught:
        await llm.add_request("r", "prompt", asking(regex="("))
    error = vllm_errors.from_exception(caught.value)
    assert error.status == status
    assert "it is wrong" in error.message
    assert (error.retry_after is not None) == (status == 503)
    assert llm.handed_on == []


async def test_a_choice_becomes_what_xgrammar_knows(gate: GrammarGate, compiler: Compiler) -> None:
    """vLLM's engine relies on it; other backends take the choice itself."""
    wanted = StructuredOutputsParams(choice=["a", 'b"'])
    await settle(wanted, gate, "auto")
    assert (wanted.choice, wanted.grammar) == (None, r'root ::= "a" | "b\""')
    compiler.verdict = Passed("guidance")
    other = StructuredOutputsParams(choice=["a", "c"])
    await settle(other, gate, "guidance")
    assert (other.choice, other.grammar) == (["a", "c"], None)
    assert (other._backend, other._backend_was_auto) == ("guidance", False)


async def test_shared_parameters_are_settled_once(gate: GrammarGate, compiler: Compiler) -> None:
    """Several prompts of one request share them."""
    wanted = StructuredOutputsParams(choice=["a", "b"])
    for _ in range(3):
        await settle(wanted, gate, "auto")
    assert len(compiler.asked) == 1
    assert wanted.choice is None


def test_equal_bytes_mean_equal_grammars() -> None:
    """All that changes what is compiled is part of them, and nothing of vLLM's own choices."""
    texts = [
        encode(StructuredOutputsParams(**fields))
        for fields in (
            {"json": SCHEMA},
            {"json": json.dumps(SCHEMA)},
            {"regex": "a"},
            {"choice": ["a"]},
            {"grammar": "a"},
            {"json_object": True},
            {"structural_tag": "a"},
            {"regex": "a", "whitespace_pattern": " "},
        )
    ]
    assert len(set(texts)) == len(texts)
    settled = StructuredOutputsParams(regex="a")
    settled._backend = "xgrammar"
    assert encode(settled) == texts[2]


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process in which any use of xgrammar's compilers is a mistake."""

    def used(*arguments: Any, **options: Any) -> None:
        raise AssertionError("a grammar was compiled on the event loop")

    for name in ("from_ebnf", "from_regex", "from_json_schema", "from_lark", "from_structural_tag"):
        monkeypatch.setattr(xgrammar.Grammar, name, used)
    original = backend_xgrammar.validate_xgrammar_grammar
    keep_compilers_off_the_loop()
    yield
    backend_xgrammar.validate_xgrammar_grammar = original


TAG = {
    "type": "structural_tag",
    "structures": [{"begin": "<a>", "schema": SCHEMA, "end": "</a>"}],
    "triggers": ["<a>"],
}
BODIES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (ChatCompletionRequest, {"messages": MESSAGES, "response_format": TAG}),
    (
        ChatCompletionRequest,
        {"messages": MESSAGES, "structured_outputs": {"structural_tag": json.dumps(TAG)}},
    ),
    (CompletionRequest, {"prompt": "a", "response_format": TAG}),
    (CompletionRequest, {"prompt": "a", "structured_outputs": {"regex": "(.*a){20}"}}),
    (
        ResponsesRequest,
        {
            "input": "a",
            "text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}},
        },
    ),
)


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(("kind", "body"), BODIES)
async def test_the_grammar_of_each_request_type_is_let_through_before_it_begins(
    gate: GrammarGate, compiler: Compiler, kind: Any, body: dict[str, Any]
) -> None:
    """Reading the body compiles nothing; a refusal is an answer, not an event of a stream."""
    request = kind.model_validate({"model": "tiny", **body})
    grammars = EngineGrammars()
    await grammars.admit(request)
    assert compiler.asked == []

    grammars._gate = gate
    await grammars.admit(request)
    assert len(compiler.asked) == 1
    compiler.verdict = Refused("it is wrong")
    changed = body | {"response_format": None, "text": None, "structured_outputs": {"regex": "x"}}
    with pytest.raises(InvalidRequest, match="it is wrong"):
        await grammars.admit(kind.model_validate({"model": "tiny", **changed}))
    await grammars.close()
    await grammars.close()


@pytest.mark.parametrize("keyword", ["not", "if", "$dynamicRef"])
async def test_a_schema_that_nobody_follows_is_refused(
    gate: GrammarGate, compiler: Compiler, keyword: str
) -> None:
    """It is named before anything is tried: the answer would be bound to less than it says."""
    grammars = EngineGrammars()
    grammars._gate = gate
    schema = {"type": "object", "properties": {"a": {keyword: {}}}}
    asked = {"name": "a", "schema": schema}
    request = ChatCompletionRequest(
        model="m",
        messages=MESSAGES,
        response_format={"type": "json_schema", "json_schema": asked},
    )
    with pytest.raises(InvalidRequest, match=re.escape(f"['{keyword}']")):
        await grammars.admit(request)
    assert compiler.asked == []


async def test_a_request_that_generates_nothing_has_no_grammar(
    gate: GrammarGate, compiler: Compiler
) -> None:
    """The tokenizer's calls pass."""
    grammars = EngineGrammars()
    grammars._gate = gate
    await grammars.admit(DetokenizeRequest(model="tiny", tokens=[1]))
    assert compiler.asked == []


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize(
    ("grammar", "taken"),
    [
        ({"json": SCHEMA}, True),
        ({"regex": "(.*a){20}"}, True),
        ({"choice": ["a"]}, True),
        ({"grammar": 'root ::= "a"'}, True),
        ({"structural_tag": json.dumps(TAG)}, True),
        ({"grammar": 'start: "a"'}, False),
        ({"json": {"type": "integer", "multipleOf": 5}}, False),
        ({"json": '{"not":' * 200 + "{}" + "}" * 200}, False),
        ({"structural_tag": '{"not":' * 200 + "{}" + "}" * 200}, False),
    ],
)
def test_parsers_learn_what_xgrammar_takes_without_it(grammar: dict[str, Any], taken: bool) -> None:
    """They join only such a grammar with tools."""
    params = asking(**grammar)
    if taken:
        check_lightly(params)
    else:
        with pytest.raises(VLLMValidationError):
            check_lightly(params)
    check_lightly(SamplingParams())
