"""Tells a call when vLLM has read the prompts that it was given.

A prompt is read with the first output that vLLM has for it: a token, or what was pooled. A call may
have several requests, for several prompts or choices. Knows nothing of what a call does with that.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from vllm.v1.engine.output_processor import OutputProcessor, RequestState

current: ContextVar[Reading | None] = ContextVar("reading", default=None)
"""The reading of the call that runs in this context, and in the tasks that it begins."""


class Reading:
    """The unread prompts of one call; `was_read` is called when there are none left."""

    def __init__(self, was_read: Callable[[], None]) -> None:
        self._was_read = was_read
        self._unread = 0

    def begin(self) -> None:
        """Note a request to vLLM."""
        self._unread += 1

    def end(self) -> None:
        """Note that vLLM has read the prompt of one of them."""
        self._unread -= 1
        if not self._unread:
            self._was_read()


def watch_reading(processor: OutputProcessor) -> None:
    """Tell the calls of a processor's requests when their prompts are read."""
    unread: dict[str, tuple[RequestState, Reading]] = {}
    add_request, process_outputs = processor.add_request, processor.process_outputs

    def add_and_note(request: Any, *arguments: Any, **options: Any) -> None:
        add_request(request, *arguments, **options)
        reading = current.get()
        if reading is not None:
            reading.begin()
            unread[request.request_id] = (processor.request_states[request.request_id], reading)

    def process_and_tell(*arguments: Any, **options: Any) -> Any:
        processed = process_outputs(*arguments, **options)
        for name, (state, reading) in list(unread.items()):
            if not state.is_prefilling:
                del unread[name]
                reading.end()
            elif name not in processor.request_states:
                # It was aborted: whoever runs the call knows.
                del unread[name]
        return processed

    processor.add_request = add_and_note
    processor.process_outputs = process_and_tell
