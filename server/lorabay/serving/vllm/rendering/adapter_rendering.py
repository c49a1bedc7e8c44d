"""vLLM's renderer, which every request passes on its way to the engine, with what each request's
adapter prefers: its chat template, its sampling, its end tokens.

One place for all calls: whatever a body looked like, vLLM has made one of its own requests of it
here, and not yet read its sampling. What the adapter prefers is in `current_preferences`. Also
bounds prompts that are to be scored, as they are first counted here. Knows nothing of how
preferences are weighed against a client's wishes; `preferences` does.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.renderers import hf
from vllm.renderers.chat_utils import ChatTemplateResolutionError
from vllm.renderers.inputs.preprocess import extract_prompt_len, prompt_to_seq

from lorabay.errors import InvalidRequest
from lorabay.serving.preferences import TOKEN_FIELDS, preferred_sampling
from lorabay.serving.vllm.rendering.current_preferences import current
from lorabay.serving.vllm.rendering.template_faults import (
    NO_TEMPLATE,
    PROMPT_FAILURES,
    adapters_fault,
    what_took_too_long,
)
from lorabay.serving.vllm.requests.roles import check_roles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import BaseModel
    from vllm.renderers.online_renderer import OnlineRenderer

    from lorabay.catalog.versions import Version
    from lorabay.serving.vllm.rendering.current_preferences import Preferences
    from lorabay.serving.vllm.requests.prompt_logprobs import PromptLogprobs

logger = structlog.get_logger(__name__)

MOST_TEMPLATES = 4_096
"""Templates of which vLLM remembers how they read content; of its own accord it remembers 32."""


class AdapterRendering:
    """Takes the place of one renderer's entrances, and follows `current` in them.

    `scored` bounds the prompts that are scored, `max_asked_tokens` what all sequences of a request
    may generate.
    """

    def __init__(
        self, renderer: OnlineRenderer, scored: PromptLogprobs, *, max_asked_tokens: int
    ) -> None:
        self._renderer = renderer
        self._model_config = renderer.model_config
        self._scored = scored
        self._max_asked_tokens = max_asked_tokens
        self._learnt: set[str] = set()
        self._told: set[str] = set()
        hf._CONTENT_FORMATS_MAXSIZE = 2 * MOST_TEMPLATES  # with tools and without

        self._render_chat = renderer.render_chat
        self._render_completion = renderer.render_completion
        self._render_responses = renderer.render_responses
        self._preprocess_chat = renderer.preprocess_chat

        renderer.render_chat = self.render_chat
        renderer.render_completion = self.render_completion
        renderer.render_responses = self.render_responses
        renderer.preprocess_chat = self.preprocess_chat

    async def render_chat(self, request: Any, **options: Any) -> Any:
        """Render a chat, also one that came as Anthropic's messages."""
        self._follow(request)
        result = await self._render_chat(request, **options)
        if not isinstance(result, ErrorResponse):
            self._check_length(request, result[1])
        return result

    async def render_completion(self, request: Any, **options: Any) -> Any:
        """Render the prompts of a text completion."""
        self._follow(request)
        result = await self._render_completion(request, **options)
        if not isinstance(result, ErrorResponse):
            self._check_length(request, result)
        return result

    async def render_responses(self, request: Any, **options: Any) -> Any:
        """Render the input of a response."""
        self._follow(request)
        return await self._render_responses(request, **options)

    async def preprocess_chat(self, request: Any, messages: Any, **options: Any) -> Any:
        """Make a prompt of a conversation, with the adapter's template if it has one.

        Raises InvalidRequest that names the adapter where the prompt fails because of it, and one
        for a template or media that take too long, for a role that the template does not know, or
        where there is no template at all.
        """
        if self._uses_templates:
            check_roles(messages, partial(self._template_of, request, options))
        try:
            return await self._preprocess(request, messages, **options)
        except TimeoutError as error:
            raise InvalidRequest(what_took_too_long(error)) from error
        except ChatTemplateResolutionError as error:
            raise InvalidRequest(NO_TEMPLATE) from error

    def _template_of(self, request: Any, options: Mapping[str, Any]) -> str | None:
        """Return the template that renders a request: its own, the adapter's, or the base's."""
        preferences = current.get()
        of_adapter = None if preferences is None else preferences.template_for(request)
        of_client = getattr(request, "chat_template", None)
        template: str | None = hf.resolve_chat_template(
            self._renderer.renderer.get_tokenizer(),
            chat_template=of_client or of_adapter or options.get("default_template"),
            tools=options.get("tool_dicts"),
            model_config=self._model_config,
        )
        return template

    async def _preprocess(self, request: Any, messages: Any, **options: Any) -> Any:
        preferences = current.get()
        if preferences is None:
            return await self._preprocess_chat(request, messages, **options)

        template = preferences.template_for(request) if self._uses_templates else None
        if template is not None:
            await self._learn(template)
            # How a template reads content follows from itself, whatever the base's wants.
            options |= {
                "default_template": template,
                "default_template_content_format": "auto",
            }

        try:
            return await self._preprocess_chat(request, messages, **options)
        except PROMPT_FAILURES as error:
            fault = adapters_fault(error, preferences, owns_template=template is not None)
            if fault is None:
                raise
            raise fault from error

    async def _learn(self, template: str) -> None:
        """Have vLLM find out how a template reads content, once, beside the event loop.

        It parses the template for that, which takes tens of milliseconds.
        """
        if template in self._learnt:
            return

        tokenizer = self._renderer.renderer.get_tokenizer()
        find_out = partial(
            hf.resolve_chat_template_content_format,
            template,
            given_format="auto",
            tokenizer=tokenizer,
            model_config=self._model_config,
        )
        await asyncio.to_thread(find_out, tools=None)
        await asyncio.to_thread(find_out, tools=[])
        if len(self._learnt) >= MOST_TEMPLATES:
            self._learnt.clear()
        self._learnt.add(template)

    @property
    def _uses_templates(self) -> bool:
        """Whether vLLM makes this base's prompts with a template.

        It makes those of gpt-oss, DeepSeek and Mistral's own tokenizers by code.
        """
        return isinstance(self._renderer.renderer, hf.HfRenderer) and not self._renderer.use_harmony

    def _tell_of_unused_template(self, version: Version) -> None:
        """Log, once, that a version's template has no effect, if it has none."""
        has_one = version.defaults.chat_template is not None
        if self._uses_templates or not has_one or version.id in self._told:
            return

        self._told.add(version.id)
        logger.warning(
            "the chat template is not used: vLLM makes this base's prompts without one",
            adapter=version.adapter,
            version=version.id,
        )

    def _follow(self, request: BaseModel) -> None:
        """Set the fields of a request, as vLLM has validated it, as the adapter prefers them."""
        preferences = current.get()
        if preferences is None:
            return

        self._tell_of_unused_template(preferences.version)
        changes = preferred_sampling(
            preferences.defaults.sampling,
            preferences.end,
            _asked(request, preferences),
            type(request).model_fields,
            most_tokens=self._most_tokens(request),
        )
        for name, value in changes.items():
            setattr(request, name, value)

    def _most_tokens(self, request: BaseModel) -> int:
        """Return the most tokens that a client could ask of each sequence of such a request."""
        context = int(self._model_config.max_model_len)
        sequences = _sequences(request)
        if sequences < 2:
            return context
        return min(context, self._max_asked_tokens // sequences)

    def _check_length(self, request: Any, inputs: Iterable[Any]) -> None:
        """Raise InvalidRequest if prompts are to be scored that are too long for it."""
        tokens = sum(extract_prompt_len(self._model_config, prompt) for prompt in inputs)
        self._scored.check_length(request, tokens)


def _asked(request: BaseModel, preferences: Preferences) -> dict[str, Any]:
    """Return the fields of a request that its client has given, without nulls."""
    # Read past the attributes: some warn that they are old.
    values = vars(request)
    asked: dict[str, Any] = {}
    for name in request.model_fields_set:
        is_filled_in = name in TOKEN_FIELDS and not preferences.has_length
        if values.get(name) is not None and not is_filled_in:
            asked[name] = values[name]
    return asked


def _sequences(request: Any) -> int:
    """Return how many sequences a request generates at once."""
    choices = getattr(request, "n", None) or 1
    if not isinstance(request, CompletionRequest):
        return choices

    prompts = 0
    for given in (request.prompt, request.prompt_embeds):
        if given is not None:
            prompts += len(prompt_to_seq(given))
    return choices * max(prompts, 1)
