"""Requests for log-probabilities of the prompt, on engines where they are right and where not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest
from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest, TokenizeRequest

from lorabay.errors import InvalidRequest
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.requests.prompt_logprobs import PromptLogprobs

MESSAGES = {"messages": [{"role": "user", "content": "hi"}]}
PROMPT = {"prompt": "hi"}

ASKING: list[tuple[type[BaseModel], dict[str, Any], str]] = [
    (ChatCompletionRequest, MESSAGES | {"prompt_logprobs": 0}, "prompt_logprobs"),
    (ChatCompletionRequest, MESSAGES | {"prompt_logprobs": 5}, "prompt_logprobs"),
    (ChatCompletionRequest, MESSAGES | {"echo": True}, "echo"),
    (
        ChatCompletionRequest,
        MESSAGES | {"echo": True, "logprobs": True, "top_logprobs": 2},
        "echo",
    ),
    (CompletionRequest, PROMPT | {"prompt_logprobs": 0}, "prompt_logprobs"),
    (CompletionRequest, PROMPT | {"prompt_logprobs": -1}, "prompt_logprobs"),
    (CompletionRequest, PROMPT | {"echo": True, "logprobs": 0}, "echo"),
    (CompletionRequest, PROMPT | {"echo": True, "logprobs": 3, "max_tokens": 0}, "echo"),
]

NOT_ASKING: list[tuple[Any, dict[str, Any]]] = [
    (ChatCompletionRequest, MESSAGES | {"logprobs": True, "top_logprobs": 5}),
    (ChatCompletionRequest, MESSAGES | {"prompt_logprobs": None}),
    (CompletionRequest, PROMPT | {"logprobs": 5}),
    (CompletionRequest, PROMPT | {"echo": True}),
    (CompletionRequest, PROMPT | {"use_beam_search": True, "n": 2, "logprobs": 2}),
    (
        ResponsesRequest,
        {"input": "hi", "include": ["message.output_text.logprobs"], "top_logprobs": 3},
    ),
    (TokenizeRequest, PROMPT),
    (TokenizeRequest, MESSAGES),
    (DetokenizeRequest, {"tokens": [1]}),
]


def parsed(body: Any, fields: dict[str, Any]) -> Any:
    return TypeAdapter(body).validate_python(fields | {"model": "tiny"})


def engine(*, on_cpu: bool = False, **options: Any) -> PromptLogprobs:
    arguments = parse_engine_args("/models/tiny", options)
    return PromptLogprobs.of(arguments, on_cpu=on_cpu, max_tokens=512)


@pytest.mark.parametrize(("body", "fields", "param"), ASKING)
def test_a_gpu_refuses_to_score_a_prompt(
    body: type[BaseModel], fields: dict[str, Any], param: str
) -> None:
    """Whoever asks, and with however many scores: 400 with the field and the reason."""
    with pytest.raises(InvalidRequest, match="on a GPU") as caught:
        engine().check(parsed(body, fields))
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(("body", "fields", "param"), ASKING)
def test_what_is_refused_is_what_vllm_would_score(
    body: type[BaseModel], fields: dict[str, Any], param: str
) -> None:
    """vLLM makes sampling parameters with scores of the prompt from each of these."""
    assert parsed(body, fields).to_sampling_params(1, {}).prompt_logprobs is not None


@pytest.mark.parametrize(("body", "fields"), NOT_ASKING)
def test_a_gpu_takes_every_other_request(body: Any, fields: dict[str, Any]) -> None:
    """Scores of the output are right, and an echo without scores computes none."""
    request = parsed(body, fields)
    engine().check(request)
    if body in (ChatCompletionRequest, CompletionRequest):
        assert request.to_sampling_params(1, {}).prompt_logprobs is None


@pytest.mark.parametrize(("body", "fields", "param"), ASKING)
def test_a_cpu_scores_prompts(body: type[BaseModel], fields: dict[str, Any], param: str) -> None:
    """There the plugin gives the head the rows of the prompt."""
    engine(on_cpu=True).check(parsed(body, fields))


@pytest.mark.parametrize(("body", "fields", "param"), ASKING)
def test_a_long_prompt_is_not_scored(
    body: type[BaseModel], fields: dict[str, Any], param: str
) -> None:
    """Whoever asks: 400 with the field, the limit and what was found; at the limit it is."""
    request, scored = parsed(body, fields), engine(on_cpu=True)
    scored.check_length(request, 512)
    with pytest.raises(InvalidRequest, match="513 prompt tokens; at most 512") as caught:
        scored.check_length(request, 513)
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize(("body", "fields"), NOT_ASKING)
def test_a_long_prompt_is_answered(body: Any, fields: dict[str, Any]) -> None:
    """Only scoring is bounded."""
    engine(on_cpu=True).check_length(parsed(body, fields), 100_000)


@pytest.mark.parametrize(
    ("targets", "are_right"),
    [
        (["q_proj", "v_proj"], True),
        (["q_proj", "lm_head"], False),
        (["language_model.lm_head"], False),
    ],
)
def test_a_head_without_adapters_scores_rightly(targets: list[str], are_right: bool) -> None:
    """`lora_target_modules` without the head leaves vLLM's own, which needs no list of rows."""
    assert engine(lora_target_modules=targets).are_right is are_right
