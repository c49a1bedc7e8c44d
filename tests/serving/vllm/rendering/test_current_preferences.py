"""What runs in a context follows its own adapter, and end tokens are the base's."""

from __future__ import annotations

import asyncio
from typing import Any

from structlog.testing import capture_logs

from lorabay.catalog.adapter_defaults import Choice
from lorabay.catalog.versions import Version
from lorabay.serving.engine import CHAT
from lorabay.serving.preferences import EndTokens
from lorabay.serving.vllm.rendering.current_preferences import begin, current, end_tokens
from tests.serving.vllm.rendered import HELLO, MARKED, Rendered, preferring
from tests.versions import make_version

NO_ENGINE: Any = None


async def test_each_task_has_the_preferences_of_its_own_request(rendered: Rendered) -> None:
    """Those of the base have none, and nor has an adapter without defaults."""

    async def preferred(version: Version | None) -> Version | None:
        begin(CHAT, {"messages": HELLO}, version, rendered.llm)
        await asyncio.sleep(0)
        preferences = current.get()
        return None if preferences is None else preferences.version

    marked = preferring(chat_template=MARKED)
    versions = (marked, None, make_version("plain"))
    assert await asyncio.gather(*map(preferred, versions)) == [marked, None, None]


async def test_what_the_client_has_said_is_known(rendered: Rendered) -> None:
    """Whether the prompt is the adapter's too, and how long an answer may be."""
    version = preferring(system_prompt=Choice("Be a banker."))
    for body, has_prompt, has_length in (
        ({"messages": HELLO, "max_tokens": 5}, True, True),
        ({"messages": HELLO, "max_tokens": None}, True, False),
        ({"messages": [{"role": "system", "content": "Be brief."}, *HELLO]}, False, False),
    ):
        begin(CHAT, body, version, rendered.llm)
        preferences = current.get()
        assert preferences is not None
        assert (preferences.has_prompt, preferences.has_length) == (has_prompt, has_length)


def test_a_client_that_may_bring_a_template_has_its_own() -> None:
    """The adapter's is for the others."""
    version = preferring(chat_template=MARKED)
    begin(CHAT, {"messages": HELLO}, version, NO_ENGINE)
    preferences = current.get()
    assert preferences is not None
    assert preferences.template_for(object()) == MARKED
    assert preferences.template_for(_Trusted()) is None


class _Trusted:
    chat_template = "{{ messages }}"


def test_end_tokens_are_found_as_the_base_spells_them(rendered: Rendered) -> None:
    """Special ones, and white space, which a vocabulary spells in its own way; others stay texts,
    and are told of."""
    tokenizer = rendered.tokenizer
    with capture_logs() as logs:
        found = end_tokens(("<|end|>", "\n", "<|im_end|>"), tokenizer)
    newline = tokenizer.encode("\n", add_special_tokens=False)
    assert found == EndTokens((0, *newline), ("<|im_end|>",))
    assert [line["of"] for line in logs] == [("<|im_end|>",)]
    assert end_tokens(("<|end|>",), None) == EndTokens((), ("<|end|>",))
