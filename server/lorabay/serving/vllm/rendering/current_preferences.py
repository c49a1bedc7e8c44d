"""What the adapter of the request that runs now prefers, bound to the task that runs it.

So requests of several adapters and of the base run side by side. Finds the ids of end tokens, which
only the base's tokeniser knows. Knows nothing of how a preference is weighed against a client's
wishes; `preferences` does.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import structlog

from lorabay.catalog.adapter_defaults import NO_DEFAULTS
from lorabay.serving.preferences import TOKEN_FIELDS, EndTokens, with_system_prompt

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

    from lorabay.catalog.adapter_defaults import AdapterDefaults
    from lorabay.catalog.versions import Version
    from lorabay.serving.engine import Body, Call

logger = structlog.get_logger(__name__)


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
    end = EndTokens()
    if defaults.end_tokens:
        end = end_tokens(defaults.end_tokens, llm.tokenizer)
    has_length = any(body.get(field) is not None for field in TOKEN_FIELDS)
    current.set(Preferences(version, end, has_prompt=filled is not body, has_length=has_length))
    return filled


@lru_cache(maxsize=1024)
def end_tokens(texts: tuple[str, ...], tokenizer: Any) -> EndTokens:
    """Return the ids of end tokens; a text that is not one token of the base stays a text."""
    ids: list[int] = []
    others: list[str] = []
    for text in texts:
        number = None if tokenizer is None else _token_id(text, tokenizer)
        if number is None:
            others.append(text)
        else:
            ids.append(number)

    if others:
        told = tuple(others)
        logger.warning("end tokens are not tokens of the base: taken for stop strings", of=told)
    return EndTokens(tuple(ids), tuple(others))


def _token_id(text: str, tokenizer: Any) -> int | None:
    """Return the id of the one token that is `text`, None if there is none."""
    # An unknown token has the id of the token for unknown ones.
    known = tokenizer.convert_tokens_to_ids(text)
    if isinstance(known, int) and tokenizer.convert_ids_to_tokens(known) == text:
        return known

    # The vocabulary spells white space and bytes in its own way.
    ids = tokenizer.encode(text, add_special_tokens=False)
    return ids[0] if len(ids) == 1 and tokenizer.decode(ids) == text else None
