"""vLLM's serving classes for bases that pool: their templates, and their answers in our terms.

They answer with a response of the web framework, not with one of vLLM's own types, and with numbers
as bytes where a client asks for that. Conversations and pairs are rendered with the template of the
request's adapter, if it has one. Knows nothing of how vectors are made.
"""

from __future__ import annotations

import re
from copy import copy
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response
from vllm.entrypoints.pooling import utils as pooling_utils

from lorabay.serving.engine import Answer
from lorabay.serving.vllm.rendering import current_preferences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from starlette.datastructures import State
    from vllm.config import SchedulerConfig

    from lorabay.serving.engine import Usage

PAIRS = "serving_scores"
PARTS = ("serving_embedding", PAIRS, "serving_classification", "serving_pooling")
"""The parts of vLLM's state that pool; those are missing for which the base has no task."""

_ROLES = (re.compile(r"""["']query["']"""), re.compile(r"""["']document["']"""))

DESCRIBED_BY = "metadata"
"""The header in which vLLM tells of numbers that it sends as bytes."""


class ByResult(JSONResponse):
    """JSON whose `data` are encoded one by one, so that other threads get their turn in between.

    A batch may hold millions of numbers, and encoding them at once would hold up the event loop.
    """

    def render(self, content: Any) -> bytes:
        """Return a dict as JSON, with its `data` last."""
        if not isinstance(content.get("data"), list):
            return super().render(content)

        rest = {name: value for name, value in content.items() if name != "data"}
        results = b",".join(super(ByResult, self).render(result) for result in content["data"])
        return super().render(rest).removesuffix(b"}") + b',"data":[' + results + b"]}"


class WholeBytes(Response):
    """Bytes that are all there already; vLLM would have a thread fetch every piece."""

    def __init__(self, content: Iterable[bytes], **options: Any) -> None:
        super().__init__(b"".join(content), **options)


def keep_prompts_whole(scheduler: SchedulerConfig) -> None:
    """Have no prompt read in slices where vLLM found that the base must see it as a whole.

    A base that looks both ways must, and so must one that takes the mean. vLLM's limit on long
    prompts would cut theirs nevertheless, and their vectors would be wrong.
    """
    if not scheduler.enable_chunked_prefill:
        scheduler.long_prefill_token_threshold = 0


def adapt_parts(state: State) -> None:
    """Have the parts that pool use the template of each request's adapter, and encode as is done
    here.

    A template for conversations says nothing of pairs: most adapters only inherited theirs.
    """
    pooling_utils.StreamingResponse = WholeBytes
    for part in PARTS:
        serving: Any = getattr(state, part, None)
        if serving is None:
            continue

        fits = is_for_pairs if part == PAIRS else is_any
        serving.get_io_processor = _with_own_template(serving.get_io_processor, fits)
        if hasattr(serving, "json_response_cls"):
            serving.json_response_cls = ByResult


def is_for_pairs(template: str) -> bool:
    """Return whether a template tells the roles of a pair apart, as vLLM names them."""
    return all(role.search(template) for role in _ROLES)


def is_any(template: str) -> bool:
    """Return True."""
    return True


def _with_own_template(processor_for: Any, fits: Callable[[str], bool]) -> Any:
    def own_processor_for(request: Any) -> Any:
        processor = processor_for(request)
        preferences = current_preferences.current.get()
        template = None if preferences is None else preferences.template_for(request)
        if template is None or not fits(template):
            return processor

        # Requests of others are rendered by the same processor, at the same time.
        own = copy(processor)
        own.chat_template = template
        own.chat_template_content_format = "auto"
        return own

    return own_processor_for


def answer_of(response: Response, usage: Usage) -> Answer:
    """Return a response of vLLM's as an answer that cost `usage`."""
    headers = {name: value for name, value in response.headers.items() if name == DESCRIBED_BY}
    return Answer(bytes(response.body), usage, str(response.media_type), headers)
