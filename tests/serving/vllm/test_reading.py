"""When a call hears that its prompts are read, by vLLM's own book-keeping of its requests."""

from __future__ import annotations

from vllm.v1.engine import EngineCoreOutput
from vllm.v1.engine.output_processor import OutputProcessor

from lorabay.serving.vllm.reading import Reading, current, watch_reading
from tests.serving.vllm.test_usage import request


class Watched:
    """vLLM's processor of outputs, watched, and a call that counts what it hears."""

    def __init__(self) -> None:
        self.heard = 0
        self.processor = OutputProcessor(None, log_stats=False)
        watch_reading(self.processor)
        current.set(Reading(self._note))

    def _note(self) -> None:
        self.heard += 1

    def add(self, name: str) -> None:
        self.processor.add_request(request(name, 9), None, None, 0, None)

    def generate(self, name: str) -> None:
        self.processor.process_outputs([EngineCoreOutput(request_id=name, new_token_ids=[7])])


async def test_a_prompt_is_read_with_its_first_token() -> None:
    """Further tokens say nothing new."""
    watched = Watched()
    watched.add("a")
    assert watched.heard == 0
    watched.generate("a")
    watched.generate("a")
    assert watched.heard == 1


async def test_a_call_of_several_prompts_waits_for_all() -> None:
    """In whatever order they are read."""
    watched = Watched()
    for name in ("a", "b"):
        watched.add(name)
    watched.generate("b")
    assert watched.heard == 0
    watched.generate("a")
    assert watched.heard == 1


async def test_a_prompt_that_is_given_up_tells_nothing() -> None:
    """Nor does a request that belongs to no call."""
    watched = Watched()
    watched.add("a")
    watched.processor.abort_requests(["a"], internal=True)
    current.set(None)
    watched.add("b")
    watched.generate("b")
    assert watched.heard == 0
