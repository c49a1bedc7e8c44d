"""A prompt that an adapter spoiled is its fault, and nothing else is."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from vllm.config import ModelConfig, VllmConfig
from vllm.exceptions import VLLMValidationError
from vllm.renderers import hf

from lorabay.catalog.adapter_defaults import Choice
from lorabay.errors import ContextLengthExceeded, InvalidRequest
from lorabay.serving.engine import CHAT, RESPONSES, Call
from tests.serving.vllm.rendered import (
    CONTEXT,
    CONVERSATIONS,
    HELLO,
    MARKED,
    Rendered,
    preferring,
    sampling,
)

# vLLM reads a field of its own that it calls old.
pytestmark = pytest.mark.filterwarnings("ignore:max_tokens is deprecated:DeprecationWarning")

REFUSING = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}"
    "{{ messages[0]['content'] }}"
)
FAILING = "{{ messages[0]['content']['nothing']['there'] }}"
BROKEN = "{% for message in messages %}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (REFUSING, "does not take this conversation: No system role"),
        (FAILING, "failed on this conversation (UndefinedError: "),
        (BROKEN, "failed on this conversation (TemplateSyntaxError: "),
        ("{{ 1 // 0 }}", "failed on this conversation (ZeroDivisionError: "),
    ],
)
@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
async def test_a_template_that_fails_is_the_adapters_fault(
    rendered: Rendered, call: Call, template: str, message: str
) -> None:
    """A 400 that names the adapter, and a line in the log with its version."""
    body = dict(CONVERSATIONS[call])
    if template is REFUSING:
        spoken = "input" if call is RESPONSES else "messages"
        body[spoken] = [{"role": "system", "content": "Be brief."}, *HELLO]
    version = preferring(chat_template=template)
    with capture_logs() as logs, pytest.raises(InvalidRequest) as caught:
        await rendered.prompt(call, body, version)
    assert caught.value.status == 400
    assert "chat template of adapter 'finance'" in caught.value.message
    assert message in caught.value.message
    (told,) = [line for line in logs if line["event"] == "chat template failed"]
    assert told["version"] == version.id


async def test_the_bases_template_is_not_the_adapters_fault(rendered: Rendered) -> None:
    """Without a template of its own, and without a system prompt, vLLM's error stays."""
    rendered.online.chat_template = REFUSING
    asked = {"messages": [{"role": "system", "content": "Be brief."}, *HELLO]}
    with pytest.raises(VLLMValidationError, match="No system role"):
        await rendered.prompt(CHAT, asked, sampling(temperature=0.5))

    version = preferring(system_prompt=Choice("Be a banker."))
    with pytest.raises(InvalidRequest, match="with the system prompt of adapter 'finance'"):
        await rendered.prompt(CHAT, {"messages": HELLO}, version)
    with pytest.raises(VLLMValidationError, match="No system role"):
        await rendered.prompt(CHAT, asked, version)  # it is the client's own


@pytest.fixture
def bare(tiny_base: Path, tmp_path: Path) -> Rendered:
    """A base without a chat template."""
    folder = tmp_path / "bare"
    shutil.copytree(tiny_base, folder)
    (folder / "chat_template.jinja").unlink()
    model = ModelConfig(model=str(folder), dtype="float32", max_model_len=CONTEXT)
    return Rendered(VllmConfig(model_config=model))


@pytest.mark.parametrize("call", CONVERSATIONS, ids=lambda call: call.name)
async def test_a_chat_over_a_base_without_a_template(bare: Rendered, call: Call) -> None:
    """An adapter with its own is answered; of the base, and of other adapters, a chat is a 400."""
    own = preferring(chat_template=MARKED)
    assert await bare.prompt(call, CONVERSATIONS[call], own) == "MARKER<|user|>Hello<|answer|>"
    for version in (None, sampling(temperature=0.5)):
        with pytest.raises(InvalidRequest, match="no chat template") as caught:
            await bare.prompt(call, CONVERSATIONS[call], version)
        assert (caught.value.status, caught.value.code) == (400, "invalid_request")
        assert "/v1/completions" in caught.value.message


async def test_an_endless_template_is_no_error_of_the_server(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM ends it after half a minute."""

    async def end(self: Any, rendering: Any) -> Any:
        await rendering
        raise TimeoutError("timed out")

    monkeypatch.setattr(hf.HfRenderer, "_render_with_timeout", end)
    with pytest.raises(InvalidRequest, match="chat template of adapter 'finance'") as caught:
        await rendered.prompt(CHAT, {"messages": HELLO}, preferring(chat_template=MARKED))
    assert caught.value.status == 400

    for version in (None, sampling(temperature=0.5)):
        with pytest.raises(InvalidRequest, match="the base's chat template takes too long"):
            await rendered.prompt(CHAT, {"messages": HELLO}, version)


async def test_what_comes_of_media_is_not_said_to_come_of_a_template(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM's error has a cause there too, which tells of this server's network."""

    async def fetch(*_: Any, **__: Any) -> Any:
        raise VLLMValidationError("not fetched") from OSError("10.0.0.7 refused")

    monkeypatch.setattr(hf, "parse_chat_messages_async", fetch)
    with pytest.raises(VLLMValidationError, match="not fetched"):
        await rendered.prompt(CHAT, {"messages": HELLO}, preferring(chat_template=MARKED))


async def test_media_that_come_too_late_are_no_error_of_the_server(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor of a template, with an adapter's own or without."""

    async def fetch(*_: Any, **__: Any) -> Any:
        raise TimeoutError("10.0.0.7")

    monkeypatch.setattr(hf, "parse_chat_messages_async", fetch)
    for version in (None, preferring(chat_template=MARKED)):
        with pytest.raises(InvalidRequest, match=r"media .* did not arrive in time") as caught:
            await rendered.prompt(CHAT, {"messages": HELLO}, version)
        assert "10.0.0.7" not in caught.value.message


async def test_a_prompt_that_the_adapter_made_too_long_says_so(rendered: Rendered) -> None:
    """The client's own part fits."""
    version = preferring(system_prompt=Choice("x" * CONTEXT))
    with pytest.raises(ContextLengthExceeded, match="system prompt of adapter 'finance'"):
        await rendered.prompt(CHAT, {"messages": HELLO}, version)
