"""Requests of adapters with preferences on their way through vLLM's own renderer, over a tokenizer
whose tokens are bytes; no engine runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs
from vllm.config import VllmConfig
from vllm.exceptions import VLLMValidationError
from vllm.renderers import hf

from lorabay.catalog.adapter_defaults import AdapterDefaults, Choice
from lorabay.catalog.versions import Version
from lorabay.errors import InvalidRequest
from lorabay.serving.engine import CHAT, COMPLETIONS, RESPONSES, TOKENIZE, Call
from tests.serving.vllm.rendered import (
    CONTEXT,
    CONVERSATIONS,
    HELLO,
    MARKED,
    MESSAGES,
    Rendered,
    preferring,
    sampling,
)
from tests.versions import make_version

# vLLM reads a field of its own that it calls old.
pytestmark = pytest.mark.filterwarnings("ignore:max_tokens is deprecated:DeprecationWarning")

BY_PARTS = (
    "{% for message in messages %}{% for part in message['content'] %}[{{ part['text'] }}]"
    "{% endfor %}{% endfor %}"
)
"""A template that reads content as a list of parts."""


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
