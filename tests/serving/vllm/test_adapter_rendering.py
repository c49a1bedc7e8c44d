"""Requests of adapters with preferences on their way through vLLM's own renderer, over a tokenizer
whose tokens are bytes; no engine runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from vllm.config import ModelConfig, VllmConfig
from vllm.entrypoints.anthropic.protocol import AnthropicMessagesRequest
from vllm.entrypoints.anthropic.serving import AnthropicServingMessages
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.models.protocol import BaseModelPath
from vllm.entrypoints.openai.models.serving import OpenAIModelRegistry
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.tokenize.protocol import TokenizeChatRequest, TokenizeCompletionRequest
from vllm.entrypoints.serve.tokenize.serving import ServingTokenization
from vllm.exceptions import VLLMValidationError
from vllm.renderers import hf
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.renderers.registry import renderer_from_config

from lorabay.catalog.adapter_defaults import AdapterDefaults, Choice
from lorabay.catalog.versions import Version
from lorabay.errors import ContextLengthExceeded, InvalidRequest
from lorabay.serving.engine import CHAT, COMPLETIONS, RESPONSES, TOKENIZE, Call
from lorabay.serving.preferences import EndTokens
from lorabay.serving.vllm.adapter_rendering import (
    AdapterRendering,
    begin,
    end_tokens,
)
from lorabay.serving.vllm.prompt_logprobs import PromptLogprobs
from lorabay.serving.vllm.stream import RequestContext
from tests.versions import make_version

# vLLM reads a field of its own that it calls old.
pytestmark = pytest.mark.filterwarnings("ignore:max_tokens is deprecated:DeprecationWarning")

CONTEXT = 256
MESSAGES = Call("messages", "/v1/messages", "Anthropic's call")
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
MARKED = (
    "MARKER{% for message in messages %}<|user|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)
BY_PARTS = (
    "{% for message in messages %}{% for part in message['content'] %}[{{ part['text'] }}]"
    "{% endfor %}{% endfor %}"
)
"""A template that reads content as a list of parts."""

REFUSING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{{ messages[0]['content'] }}"
)
FAILING = "{{ messages[0]['content']['nothing']['there'] }}"
BROKEN = "{% for message in messages %}"


@pytest.fixture(scope="module")
def config(tiny_base: Path) -> VllmConfig:
    model = ModelConfig(model=str(tiny_base), dtype="float32", max_model_len=CONTEXT)
    return VllmConfig(model_config=model)


class Rendered:
    """vLLM's parts in front of an engine, as far as they make prompts and sampling."""

    def __init__(self, config: VllmConfig, *, trusts_clients: bool = False) -> None:
        self.llm: Any = SimpleNamespace(tokenizer=None)
        renderer = renderer_from_config(config)
        self.llm.tokenizer = self.tokenizer = renderer.get_tokenizer()
        self.online = OnlineRenderer(
            config.model_config,
            renderer,
            request_logger=None,
            chat_template=None,
            chat_template_content_format="auto",
            trust_request_chat_template=trusts_clients,
        )
        models = OpenAIModelRegistry(config.model_config, [BaseModelPath("tiny", "/tiny")])
        self.tokenization = ServingTokenization(
            models,
            self.online,
            chat_template=None,
            chat_template_content_format="auto",
            trust_request_chat_template=trusts_clients,
        )
        AdapterRendering(
            self.online,
            PromptLogprobs(are_right=True, max_tokens=40),
            max_asked_tokens=CONTEXT * 2,
        )

    async def request(self, call: Call, body: dict[str, Any], version: Version | None) -> Any:
        """vLLM's request of a body, after it was rendered, and the prompts that came of it."""
        body = begin(call, body, version, self.llm)
        if call is CHAT:
            request = ChatCompletionRequest(**body)
            return request, await self._prompts(self.online.render_chat(request))
        if call is MESSAGES:
            asked = AnthropicMessagesRequest(model="tiny", **body)
            request = AnthropicServingMessages.to_chat_completion_request(asked)
            return request, await self._prompts(self.online.render_chat(request))
        if call is COMPLETIONS:
            request = CompletionRequest(**body)
            return request, await self._prompts(self.online.render_completion(request))
        if call is RESPONSES:
            request = ResponsesRequest(**body)
            return request, await self._prompts(self.online.render_responses(request))

        kind = TokenizeChatRequest if "messages" in body else TokenizeCompletionRequest
        request = kind(model="tiny", **body)
        context: Any = RequestContext.new("r-1")
        answer = await self.tokenization.create_tokenize(request, context)
        assert not isinstance(answer, ErrorResponse), answer
        return request, [self.tokenizer.decode(answer.tokens)]

    async def _prompts(self, rendering: Any) -> list[str]:
        result = await rendering
        if isinstance(result, ErrorResponse):
            raise VLLMValidationError(result.error.message)
        if hasattr(result, "engine_input"):
            inputs = [result.engine_input]
        else:
            inputs = result[1] if isinstance(result, tuple) else result
        return [self.tokenizer.decode(prompt["prompt_token_ids"]) for prompt in inputs]

    async def prompt(self, call: Call, body: dict[str, Any], version: Version | None) -> str:
        """The one prompt that a body becomes."""
        _, (prompt,) = await self.request(call, body, version)
        return str(prompt)

    async def sampling(self, call: Call, body: dict[str, Any], version: Version | None) -> Any:
        """The sampling that vLLM hands to its engine."""
        request, _ = await self.request(call, body, version)
        return request.to_sampling_params(CONTEXT, {})


@pytest.fixture
def rendered(config: VllmConfig) -> Rendered:
    return Rendered(config)


def preferring(**defaults: Any) -> Version:
    return replace(make_version("finance"), defaults=AdapterDefaults(**defaults))


def sampling(is_enforced: bool = False, **values: Any) -> Version:
    choices = tuple((name, Choice(value, is_enforced)) for name, value in sorted(values.items()))
    return preferring(sampling=choices)


CONVERSATIONS: dict[Call, dict[str, Any]] = {
    CHAT: {"messages": HELLO},
    TOKENIZE: {"messages": HELLO},
    RESPONSES: {"input": "Hello"},
    MESSAGES: {"messages": HELLO, "max_tokens": 5},
}
GENERATING: dict[Call, dict[str, Any]] = {
    CHAT: {"messages": HELLO},
    COMPLETIONS: {"prompt": "Hello"},
    RESPONSES: {"input": "Hello"},
    MESSAGES: {"messages": HELLO, "max_tokens": 5},
}


@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
async def test_a_conversation_is_rendered_by_the_adapters_template(
    rendered: Rendered, call: Call
) -> None:
    """And by the base's for the base, or for an adapter that has none."""
    body = CONVERSATIONS[call]
    marked = await rendered.prompt(call, body, preferring(chat_template=MARKED))
    assert marked == "MARKER<|user|>Hello<|answer|>"
    for version in (None, make_version("sales")):
        assert await rendered.prompt(call, body, version) == "<|user|>Hello<|answer|>"


async def test_requests_side_by_side_have_their_own_templates(rendered: Rendered) -> None:
    """Two adapters and the base, in tasks that take turns."""
    other = preferring(chat_template="OTHER{{ messages[0]['content'] }}")
    versions = [preferring(chat_template=MARKED), None, other] * 4
    prompts = await asyncio.gather(
        *(
            asyncio.create_task(rendered.prompt(CHAT, {"messages": HELLO}, version))
            for version in versions
        )
    )
    expected = ["MARKER<|user|>Hello<|answer|>", "<|user|>Hello<|answer|>", "OTHERHello"]
    assert prompts == expected * 4


@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
async def test_content_has_the_form_that_the_adapters_template_reads(
    rendered: Rendered, call: Call
) -> None:
    """Its own loop over parts decides, not the base's template, which reads text."""
    version = preferring(chat_template=BY_PARTS)
    assert await rendered.prompt(call, CONVERSATIONS[call], version) == "[Hello]"


async def test_a_client_still_brings_no_template(rendered: Rendered, config: VllmConfig) -> None:
    """That an adapter may does not open the gate; where the operator has, the client's wins."""
    version = preferring(chat_template=MARKED)
    for own in ({"chat_template": "X"}, {"chat_template_kwargs": {"chat_template": "X"}}):
        with pytest.raises(VLLMValidationError, match="untrusted chat template"):
            await rendered.prompt(CHAT, {"messages": HELLO} | own, version)

    trusting = Rendered(config, trusts_clients=True)
    body = {"messages": HELLO, "chat_template": "CLIENT{{ messages[0]['content'] }}"}
    assert await trusting.prompt(CHAT, body, version) == "CLIENTHello"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (REFUSING, "does not take this conversation: No system role"),
        (FAILING, "failed on this conversation (UndefinedError: "),
        (BROKEN, "failed on this conversation (TemplateSyntaxError: "),
        ("{{ 1 // 0 }}", "failed on this conversation (ZeroDivisionError: "),
    ],
)
@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
async def test_a_template_that_fails_is_the_adapters_fault(
    rendered: Rendered, call: Call, template: str, message: str
) -> None:
    """A 400 that names the adapter, and a line in the log with its version."""
    body = dict(CONVERSATIONS[call])
    if template is REFUSING:
        spoken = "input" if call is RESPONSES else "messages"
        body[spoken] = [{"role": "system", "content": "Be brief."}, *HELLO]
    version = preferring(chat_template=template)
    with capture_logs() as logs, pytest.raises(InvalidRequest) as caught:
        await rendered.prompt(call, body, version)
    assert caught.value.status == 400
    assert "chat template of adapter 'finance'" in caught.value.message
    assert message in caught.value.message
    (told,) = [line for line in logs if line["event"] == "chat template failed"]
    assert told["version"] == version.id


async def test_the_bases_template_is_not_the_adapters_fault(rendered: Rendered) -> None:
    """Without a template of its own, and without a system prompt, vLLM's error stays."""
    rendered.online.chat_template = REFUSING
    asked = {"messages": [{"role": "system", "content": "Be brief."}, *HELLO]}
    with pytest.raises(VLLMValidationError, match="No system role"):
        await rendered.prompt(CHAT, asked, sampling(temperature=0.5))

    version = preferring(system_prompt=Choice("Be a banker."))
    with pytest.raises(InvalidRequest, match="with the system prompt of adapter 'finance'"):
        await rendered.prompt(CHAT, {"messages": HELLO}, version)
    with pytest.raises(VLLMValidationError, match="No system role"):
        await rendered.prompt(CHAT, asked, version)  # it is the client's own


async def test_a_role_must_be_one_that_the_template_knows(rendered: Rendered) -> None:
    """The adapter's own template decides for its requests, the base's for the others."""
    named = "{% if messages[0]['role'] == 'narrator' %}NARRATED{% endif %}"
    body = {"messages": [{"role": "narrator", "content": "Once"}, *HELLO]}
    for call in (CHAT, TOKENIZE):
        assert await rendered.prompt(call, body, preferring(chat_template=named)) == "NARRATED"
        for version in (None, preferring(chat_template=MARKED), sampling(temperature=0.5)):
            with pytest.raises(InvalidRequest, match=r"messages\.0\.role.*'narrator'"):
                await rendered.prompt(call, body, version)

    developer = {"messages": [{"role": "developer", "content": "Be brief."}, *HELLO]}
    assert "Be brief." in await rendered.prompt(CHAT, developer, None)


async def test_an_endless_template_is_no_error_of_the_server(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM ends it after half a minute."""

    async def end(self: Any, rendering: Any) -> Any:
        await rendering
        raise TimeoutError("timed out")

    monkeypatch.setattr(hf.HfRenderer, "_render_with_timeout", end)
    with pytest.raises(InvalidRequest, match="chat template of adapter 'finance'") as caught:
        await rendered.prompt(CHAT, {"messages": HELLO}, preferring(chat_template=MARKED))
    assert caught.value.status == 400

    for version in (None, sampling(temperature=0.5)):
        with pytest.raises(InvalidRequest, match="the base's chat template takes too long"):
            await rendered.prompt(CHAT, {"messages": HELLO}, version)


async def test_what_comes_of_media_is_not_said_to_come_of_a_template(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's error has a cause there too, which tells of this server's network."""

    async def fetch(*_: Any, **__: Any) -> Any:
        raise VLLMValidationError("not fetched") from OSError("10.0.0.7 refused")

    monkeypatch.setattr(hf, "parse_chat_messages_async", fetch)
    with pytest.raises(VLLMValidationError, match="not fetched"):
        await rendered.prompt(CHAT, {"messages": HELLO}, preferring(chat_template=MARKED))


async def test_media_that_come_too_late_are_no_error_of_the_server(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of a template, with an adapter's own or without."""

    async def fetch(*_: Any, **__: Any) -> Any:
        raise TimeoutError("10.0.0.7")

    monkeypatch.setattr(hf, "parse_chat_messages_async", fetch)
    for version in (None, preferring(chat_template=MARKED)):
        with pytest.raises(InvalidRequest, match=r"media .* did not arrive in time") as caught:
            await rendered.prompt(CHAT, {"messages": HELLO}, version)
        assert "10.0.0.7" not in caught.value.message


async def test_a_prompt_that_the_adapter_made_too_long_says_so(rendered: Rendered) -> None:
    """The client's own part fits."""
    version = preferring(system_prompt=Choice("x" * CONTEXT))
    with pytest.raises(ContextLengthExceeded, match="system prompt of adapter 'finance'"):
        await rendered.prompt(CHAT, {"messages": HELLO}, version)


@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
@pytest.mark.parametrize("is_enforced", [False, True])
async def test_the_system_prompt_is_in_the_prompt(
    rendered: Rendered, call: Call, is_enforced: bool
) -> None:
    """Of every call with a conversation, once, and for `/tokenize` as for the others."""
    version = preferring(system_prompt=Choice("Be a banker.", is_enforced))
    prompt = await rendered.prompt(call, CONVERSATIONS[call], version)
    assert prompt == "<|user|>Be a banker.<|user|>Hello<|answer|>"


OWN: dict[str, tuple[Any, Any]] = {
    "temperature": (0.25, 0.75),
    "top_p": (0.5, 0.75),
    "top_k": (20, 7),
    "min_p": (0.25, 0.5),
    "presence_penalty": (0.5, -0.5),
    "frequency_penalty": (0.5, 0.25),
    "repetition_penalty": (1.5, 1.25),
    "seed": (7, 11),
}
ANTHROPICS = ("temperature", "top_p", "top_k")
"""Fields that Anthropic's call has too."""


@pytest.mark.parametrize("field", OWN)
@pytest.mark.parametrize("call", GENERATING, ids=lambda call: call.name)
async def test_the_engine_is_given_what_the_adapter_prefers(
    rendered: Rendered, call: Call, field: str
) -> None:
    """Where the client says nothing or null; what it says wins over a default and loses to what is
    enforced."""
    own, wish = OWN[field]
    body = GENERATING[call]
    has_field = call is not MESSAGES or field in ANTHROPICS
    for asked in (body, body | ({field: None} if has_field else {})):
        filled = await rendered.sampling(call, asked, sampling(**{field: own}))
        assert getattr(filled, field) == own

    if has_field:
        said = await rendered.sampling(call, body | {field: wish}, sampling(**{field: own}))
        assert getattr(said, field) == wish
        enforced = sampling(is_enforced=True, **{field: own})
        assert getattr(await rendered.sampling(call, body | {field: wish}, enforced), field) == own


BOUND = {CHAT: "max_tokens", COMPLETIONS: "max_tokens", RESPONSES: "max_output_tokens"}


@pytest.mark.parametrize("call", BOUND, ids=lambda call: call.name)
async def test_the_bound_of_the_output_is_the_adapters(rendered: Rendered, call: Call) -> None:
    """Filled where it is open or null, lowered where it is enforced, and never over the context."""
    body, field = GENERATING[call], BOUND[call]

    async def bound(version: Version, **asked: Any) -> int | None:
        request, _ = await rendered.request(call, body | asked, version)
        values = vars(request)
        names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
        return next(values[name] for name in names if values.get(name) is not None)

    for asked in ({}, {field: None}):
        assert await bound(sampling(max_tokens=50), **asked) == 50
        assert await bound(sampling(is_enforced=True, max_tokens=50), **asked) == 50
        assert await bound(sampling(max_tokens=10_000), **asked) == CONTEXT
    assert await bound(sampling(max_tokens=50), **{field: 80}) == 80
    assert await bound(sampling(is_enforced=True, max_tokens=50), **{field: 80}) == 50
    assert await bound(sampling(is_enforced=True, max_tokens=50), **{field: 8}) == 8


async def test_several_sequences_keep_the_limit_of_their_sum(rendered: Rendered) -> None:
    """A default counts for each of them; the client, who has not named it, is not refused."""
    body = {"prompt": ["a", "b"], "n": 4}
    request, _ = await rendered.request(COMPLETIONS, body, sampling(max_tokens=200))
    assert request.max_tokens == CONTEXT * 2 // 8


@pytest.mark.parametrize("call", GENERATING, ids=lambda call: call.name)
async def test_answers_end_where_the_adapter_ends_them(rendered: Rendered, call: Call) -> None:
    """At its end tokens by id, and at its stop strings and more of the client's than vLLM takes."""
    field = "stop_sequences" if call is MESSAGES else "stop"
    ending = replace(
        sampling(stop=("###", "END")),
        defaults=AdapterDefaults(
            end_tokens=("<|user|>", "no token"), sampling=(("stop", Choice(("###", "END"))),)
        ),
    )
    client = ["a", "b", "c", "d"]
    params = await rendered.sampling(call, GENERATING[call] | {field: client}, ending)
    assert params.stop_token_ids == [rendered.tokenizer.convert_tokens_to_ids("<|user|>")]
    assert params.stop == [*client, "###", "END", "no token"]
    assert not params.include_stop_str_in_output


async def test_an_echo_without_an_answer_stays_one(rendered: Rendered) -> None:
    """Whoever scores a prompt asks for no token, with any preferences."""
    version = sampling(is_enforced=True, max_tokens=50, temperature=0.5, stop=("H",))
    body = {"prompt": "Hello", "echo": True, "logprobs": 1, "max_tokens": 0}
    request, prompts = await rendered.request(COMPLETIONS, body, version)
    assert prompts == ["Hello"]
    assert request.max_tokens == 0
    assert request.to_sampling_params(CONTEXT, {}).prompt_logprobs == 1


@pytest.mark.parametrize("call", GENERATING, ids=lambda call: call.name)
async def test_the_bases_own_requests_are_untouched(rendered: Rendered, call: Call) -> None:
    """Also in a task that ran an adapter's request before."""
    body = GENERATING[call]
    before, _ = await rendered.request(call, body, None)
    version = replace(sampling(temperature=0.5), defaults=preferring(end_tokens=("a",)).defaults)
    await rendered.request(call, body, version)
    after, _ = await rendered.request(call, body, None)
    kept = {"request_id"}
    assert after.model_dump(exclude=kept) == before.model_dump(exclude=kept)


async def test_text_to_tokenize_is_left_alone(rendered: Rendered) -> None:
    """It is no conversation."""
    version = preferring(chat_template=MARKED, system_prompt=Choice("Hi", is_enforced=True))
    assert await rendered.prompt(TOKENIZE, {"prompt": "Hello"}, version) == "Hello"


@pytest.mark.parametrize(
    ("call", "body", "field"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "x" * 40}], "prompt_logprobs": 1}, None),
        (CHAT, {"messages": [{"role": "user", "content": "x" * 40}], "echo": True}, "echo"),
        (COMPLETIONS, {"prompt": "x" * 41, "prompt_logprobs": 0}, None),
        (COMPLETIONS, {"prompt": ["x" * 21, "x" * 20], "prompt_logprobs": 0}, None),
        (COMPLETIONS, {"prompt": [5] * 41, "echo": True, "logprobs": 0}, "echo"),
    ],
)
async def test_long_prompts_are_not_scored(
    rendered: Rendered, call: Call, body: dict[str, Any], field: str | None
) -> None:
    """Of the base as of adapters: a 400 with the limit, the setting and what was found."""
    for version in (None, sampling(temperature=0.5)):
        with pytest.raises(InvalidRequest, match=r"at most 40 \(setting") as caught:
            await rendered.prompt(call, body, version)
        assert "max_prompt_logprob_tokens" in caught.value.message
        assert (caught.value.status, caught.value.param) == (400, field or "prompt_logprobs")


async def test_short_prompts_are_scored_and_long_ones_answered(rendered: Rendered) -> None:
    """The limit is that of prompts which are scored."""
    scored = {"prompt": ["x" * 20, "x" * 20], "prompt_logprobs": 1}
    _, prompts = await rendered.request(COMPLETIONS, scored, None)
    assert len(prompts) == 2
    assert await rendered.prompt(COMPLETIONS, {"prompt": "x" * 200}, None) == "x" * 200


def test_end_tokens_are_found_as_the_base_spells_them(rendered: Rendered) -> None:
    """Special ones, and white space, which a vocabulary spells in its own way; others stay texts,
    and are told of."""
    tokenizer = rendered.tokenizer
    with capture_logs() as logs:
        found = end_tokens(("<|end|>", "\n", "<|im_end|>"), tokenizer)
    newline = tokenizer.encode("\n", add_special_tokens=False)
    assert found == EndTokens((0, *newline), ("<|im_end|>",))
    assert [line["of"] for line in logs] == [("<|im_end|>",)]
    assert end_tokens(("<|end|>",), None) == EndTokens((), ("<|end|>",))


async def test_a_template_that_nothing_reads_is_told_of_once(rendered: Rendered) -> None:
    """gpt-oss's prompts are made by code, whatever its adapters bring."""
    version = preferring(chat_template=MARKED)
    with capture_logs() as logs:
        await rendered.prompt(COMPLETIONS, {"prompt": "Hi"}, version)
    assert not logs

    rendered.online.use_harmony = True
    with capture_logs() as logs:
        for _ in range(2):
            await rendered.prompt(COMPLETIONS, {"prompt": "Hi"}, version)
        await rendered.prompt(COMPLETIONS, {"prompt": "Hi"}, sampling(temperature=0.5))
    assert [line["adapter"] for line in logs] == ["finance"]


async def test_templates_are_parsed_once_however_many_there_are(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM parses on the event loop, where every stream waits for it."""
    versions = [preferring(chat_template=f"{number}{MARKED}") for number in range(40)]
    for version in versions:
        await rendered.prompt(CHAT, {"messages": HELLO}, version)

    monkeypatch.setattr(hf, "_try_extract_ast", lambda template: pytest.fail("parsed again"))
    for version in versions:
        await rendered.prompt(CHAT, {"messages": HELLO}, version)
