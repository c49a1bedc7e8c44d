"""Whose fault it is that no prompt could be made of a conversation: the adapter's, the base's
template's, or nobody's here.

vLLM wraps what a template raises, and what comes of media too: the place where an error was raised
tells them apart.
"""

from __future__ import annotations

from traceback import walk_tb
from typing import TYPE_CHECKING

import structlog
from jinja2 import TemplateError
from vllm.exceptions import VLLMValidationError
from vllm.renderers import hf

from lorabay.errors import SHOWN_CHARS, ContextLengthExceeded, InvalidRequest, TemplateFailed
from lorabay.serving.vllm.errors import PROMPT_LENGTH_PARAMETERS

if TYPE_CHECKING:
    from types import CodeType

    from lorabay.serving.vllm.rendering.current_preferences import Preferences

logger = structlog.get_logger(__name__)

PROMPT_FAILURES = (TemplateError, VLLMValidationError, TimeoutError)
"""What vLLM raises where an adapter may be to blame."""

NO_TEMPLATE = (
    "no chat template: the base has none, nor has the adapter that was asked; send a whole prompt "
    "to /v1/completions, or have whoever serves it add a chat_template.jinja to the adapter's "
    "folder or start with --engine chat_template=FILE"
)
"""What a client is told whose conversation nothing makes a prompt of; vLLM would ask it for a
template, which it may not send.
"""


def adapters_fault(
    error: Exception, preferences: Preferences, *, owns_template: bool
) -> InvalidRequest | None:
    """Return the error for a prompt that the adapter's own template or system prompt spoiled.

    None where neither has a part in it. `owns_template` says that the template is the adapter's.
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
        return TemplateFailed(
            "the base's chat template does not take this conversation with the system prompt of "
            f"adapter {adapter!r}: {reason}"
        )
    if type(cause) is TemplateError:
        # The template itself refused, in its own words.
        return InvalidRequest(
            f"the chat template of adapter {adapter!r} does not take this conversation: "
            f"{str(cause)[:SHOWN_CHARS]}"
        )
    return TemplateFailed(
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


def what_took_too_long(error: TimeoutError) -> str:
    """Return the sentence for a client whose prompt was not made in time."""
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
