"""vLLM's renderer, which every request passes on its way to the engine, with what each request's
adapter prefers: its chat template, its sampling, its end tokens.

One place for all calls: whatever a body looked like, vLLM has made one of its own requests of it
here, and not yet read its sampling. What the adapter prefers is bound to the task that runs the
request, so requests of several adapters and of the base run side by side. Also bounds prompts that
are to be scored, as they are first counted here. Knows nothing of how preferences are weighed
against a client's wishes; `preferences` does.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

import structlog
from jinja2 import TemplateError
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.exceptions import VLLMValidationError
from vllm.renderers import hf
from vllm.renderers.inputs.preprocess import extract_prompt_len, prompt_to_seq

from lorabay.catalog.adapter_defaults import NO_DEFAULTS
from lorabay.errors import SHOWN_CHARS, ContextLengthExceeded, InvalidRequest
from lorabay.serving.preferences import (
    TOKEN_FIELDS,
    EndTokens,
    preferred_sampling,
    with_system_prompt,
)
from lorabay.serving.vllm.errors import PROMPT_LENGTH_PARAMETERS
from lorabay.serving.vllm.roles import check_roles

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType

    from pydantic import BaseModel
    from vllm.renderers.online_renderer import OnlineRenderer
    from vllm.v1.engine.async_llm import AsyncLLM

    from lorabay.catalog.adapter_defaults import AdapterDefaults
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body, Call
    from lorabay.serving.vllm.prompt_logprobs import PromptLogprobs

logger = structlog.get_logger(__name__)

MOST_TEMPLATES = 4_096
"""Templates of which vLLM remembers how they read content; of its own accord it remembers 32."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the adapter of one request prefers.

    `has_prompt` says that its system prompt is in the request, `has_length` that the client says
    how long an answer may be: vLLM itself fills that in where it is open.
    """

    version: Version
    end: EndTokens
    has_prompt: bool
    has_length: bool

    @property
    def defaults(self) -> AdapterDefaults:
        """What the version says of its own use."""
        return self.version.defaults

    def template_for(self, request: Any) -> str | None:
        """Return the adapter's template, unless the client was trusted to bring another."""
        own = self.defaults.chat_template
        return None if getattr(request, "chat_template", None) else own


current: ContextVar[Preferences | None] = ContextVar("preferences", default=None)
"""The preferences of the request that runs in this context; None for those of the base."""


def begin(call: Call, body: Body, version: Version | None, llm: AsyncLLM) -> Body:
    """Have what runs in this context follow a version's own defaults, and return the body for it.

    That is the client's, with the version's system prompt where it belongs.
    """
    if version is None or version.defaults == NO_DEFAULTS:
        current.set(None)
        return body

    defaults = version.defaults
    filled = with_system_prompt(call, body, defaults.system_prompt)
    end = end_tokens(defaults.end_tokens, llm.tokenizer) if defaults.end_tokens else EndTokens()
    has_length = any(body.get(field) is not None for field in TOKEN_FIELDS)
    current.set(Preferences(version, end, has_prompt=filled is not body, has_length=has_length))
    return filled


@lru_cache(maxsize=1024)
def end_tokens(texts: tuple[str, ...], tokenizer: Any) -> EndTokens:
    """Return the ids of end tokens; a text that is not one token of the base stays a text."""
    ids = {text: None if tokenizer is None else _token_id(text, tokenizer) for text in texts}
    others = tuple(text for text, number in ids.items() if number is None)
    if others:
        logger.warning("end tokens are not tokens of the base: taken for stop strings", of=others)
    return EndTokens(tuple(number for number in ids.values() if number is not None), others)


def _token_id(text: str, tokenizer: Any) -> int | None:
    """Return the id of the one token that is `text`, None if there is none."""
    # An unknown token has the id of the token for unknown ones.
    known = tokenizer.convert_tokens_to_ids(text)
    if isinstance(known, int) and tokenizer.convert_ids_to_tokens(known) == text:
        return known

    # The vocabulary spells white space and bytes in its own way.
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids[0] if len(ids) == 1 and tokenizer.decode(ids) == text else None


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
        for a template or media that take too long, or a role that the template does not know.
        """
        if self._uses_templates:
            check_roles(messages, partial(self._template_of, request, options))
        try:
            return await self._preprocess(request, messages, **options)
        except TimeoutError as error:
            raise InvalidRequest(_what_took_too_long(error)) from error

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
        except (TemplateError, VLLMValidationError, TimeoutError) as error:
            blamed = _blame(error, preferences, owns_template=template is not None)
            if blamed is None:
                raise
            raise blamed from error

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
        return context if sequences < 2 else min(context, self._max_asked_tokens // sequences)

    def _check_length(self, request: Any, inputs: Iterable[Any]) -> None:
        """Raise InvalidRequest if prompts are to be scored that are too long for it."""
        tokens = sum(extract_prompt_len(self._model_config, prompt) for prompt in inputs)
        self._scored.check_length(request, tokens)


def _asked(request: BaseModel, preferences: Preferences) -> dict[str, Any]:
    """Return the fields of a request that its client has given, without nulls."""
    not_asked = () if preferences.has_length else TOKEN_FIELDS
    # Read past the attributes: some warn that they are old.
    values = vars(request)
    return {
        name: values[name]
        for name in request.model_fields_set
        if values.get(name) is not None and name not in not_asked
    }


def _sequences(request: Any) -> int:
    """Return how many sequences a request generates at once."""
    choices = getattr(request, "n", None) or 1
    if not isinstance(request, CompletionRequest):
        return choices

    given = (request.prompt, request.prompt_embeds)
    prompts = sum(len(prompt_to_seq(prompt)) for prompt in given if prompt is not None)
    return choices * max(prompts, 1)


def _blame(
    error: Exception, preferences: Preferences, *, owns_template: bool
) -> InvalidRequest | None:
    """Return the error for a prompt that the adapter's own template or system prompt spoiled.

    None where neither has a part in it.
    """
    adapter = preferences.version.adapter
    if isinstance(error, VLLMValidationError) and error.parameter in PROMPT_LENGTH_PARAMETERS:
        if not preferences.has_prompt:
            return None
        return ContextLengthExceeded(
            f"{error.args[0]} The system prompt of adapter {adapter!r} counts too.",
            param=error.parameter,
        )

    cause = _template_fault(error)
    if cause is None or not (owns_template or preferences.has_prompt):
        return None

    # Jinja's reasons may repeat what a client sent.
    reason = f"{type(cause).__name__}: {cause}"[:SHOWN_CHARS]
    logger.warning("chat template failed", version=preferences.version.id, reason=reason)
    if not owns_template:
        return InvalidRequest(
            "the base's chat template does not take this conversation with the system prompt of "
            f"adapter {adapter!r}: {reason}"
        )
    if type(cause) is TemplateError:
        # The template itself refused, in its own words.
        return InvalidRequest(
            f"the chat template of adapter {adapter!r} does not take this conversation: "
            f"{str(cause)[:SHOWN_CHARS]}"
        )
    return InvalidRequest(
        f"the chat template of adapter {adapter!r} failed on this conversation ({reason}); who "
        "serves the adapter has to mend it"
    )


def _template_fault(error: Exception) -> BaseException | None:
    """Return what a template raised, None if an error came from elsewhere.

    vLLM wraps what a template raises, and raises TimeoutError for one that takes too long. It wraps
    what comes of media too, whose reasons are not for clients: the place tells them apart.
    """
    if isinstance(error, TemplateError) or _is_slow_template(error):
        return error

    is_wrapped = _innermost(error) is hf.safe_apply_chat_template.__code__
    return error.__cause__ if is_wrapped else None


def _what_took_too_long(error: TimeoutError) -> str:
    if _is_slow_template(error):
        return (
            "the base's chat template takes too long for this conversation: send fewer or shorter "
            "messages"
        )
    return "the media of the request did not arrive in time"


def _is_slow_template(error: Exception) -> bool:
    """Return whether vLLM gave a template up; fetching media may time out as well."""
    is_late = isinstance(error, TimeoutError)
    return is_late and _innermost(error) is hf.HfRenderer._render_with_timeout.__code__


def _innermost(error: Exception) -> CodeType:
    """Return the code in which an error was raised."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_code
