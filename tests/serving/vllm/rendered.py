"""vLLM's parts in front of an engine, and what adapters prefer, for tests of rendering."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

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
from vllm.renderers.online_renderer import OnlineRenderer
from vllm.renderers.registry import renderer_from_config

from lorabay.catalog.adapter_defaults import AdapterDefaults, Choice
from lorabay.serving.engine import CHAT, COMPLETIONS, RESPONSES, TOKENIZE, Call
from lorabay.serving.vllm.rendering.adapter_rendering import AdapterRendering
from lorabay.serving.vllm.rendering.current_preferences import begin
from lorabay.serving.vllm.requests.prompt_logprobs import PromptLogprobs
from lorabay.serving.vllm.stream import RequestContext
from tests.versions import make_version

if TYPE_CHECKING:
    from vllm.config import VllmConfig

    from lorabay.catalog.versions import Version

CONTEXT = 256
MESSAGES = Call("messages", "/v1/messages", "Anthropic's call")
HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
MARKED = (
    "MARKER{% for message in messages %}<|user|>{{ message['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<|answer|>{% endif %}"
)

CONVERSATIONS: dict[Call, dict[str, Any]] = {
    CHAT: {"messages": HELLO},
    TOKENIZE: {"messages": HELLO},
    RESPONSES: {"input": "Hello"},
    MESSAGES: {"messages": HELLO, "max_tokens": 5},
}


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
        self.inputs: list[Any] = list(inputs)
        return [self.tokenizer.decode(prompt["prompt_token_ids"]) for prompt in inputs]

    async def prompt(self, call: Call, body: dict[str, Any], version: Version | None) -> str:
        """The one prompt that a body becomes."""
        _, (prompt,) = await self.request(call, body, version)
        return str(prompt)

    async def sampling(self, call: Call, body: dict[str, Any], version: Version | None) -> Any:
        """The sampling that vLLM hands to its engine."""
        request, _ = await self.request(call, body, version)
        return request.to_sampling_params(CONTEXT, {})


def preferring(**defaults: Any) -> Version:
    return replace(make_version("finance"), defaults=AdapterDefaults(**defaults))


def sampling(is_enforced: bool = False, **values: Any) -> Version:
    choices = tuple((name, Choice(value, is_enforced)) for name, value in sorted(values.items()))
    return preferring(sampling=choices)
