"""What a rollout is told of an exchange."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from lorabay.accounts.usage.records import UsageRecord
from lorabay.api.measuring.samples import READ_BYTES, AnswerText, sample_of
from lorabay.errors import InvalidRequest, TemplateFailed
from lorabay.rollout.figures import Sample
from lorabay.serving.engine import CHAT, EMBEDDINGS, TOKENIZE

DONE = UsageRecord(
    id="1",
    key="key",
    tenant="acme",
    adapter="ads",
    version="a" * 12,
    call="chat",
    prompt_tokens=9,
    cached_tokens=0,
    generated_tokens=21,
    prompts=1,
    sequences=1,
    started_ms=0,
    queue_ms=10,
    first_token_ms=200,
    total_ms=700,
    code=200,
    ended="done",
)


def text(*pieces: bytes) -> AnswerText:
    gathered = AnswerText()
    for piece in pieces:
        gathered.add(piece)
    return gathered


def test_an_answer_that_was_made() -> None:
    """Its first token without the queue, its speed after that, its length, whether it declines."""
    assert sample_of(DONE, CHAT, text()) == Sample(
        failed=False, first_token_s=0.19, tokens_per_s=40.0, tokens=21, declines=False
    )
    short = replace(DONE, generated_tokens=4)
    assert sample_of(short, CHAT, text()) == Sample(
        failed=False, first_token_s=0.19, tokens=4, declines=False
    )


@pytest.mark.parametrize(
    ("changes", "sample"),
    [
        ({"code": 500, "ended": "error"}, Sample(failed=True)),
        ({"code": 503, "ended": "error"}, Sample(failed=True)),
        ({"code": 499, "ended": "left", "first_token_ms": None}, Sample(failed=True)),
        ({"code": 499, "ended": "left"}, None),
        ({"code": 499, "ended": "cut"}, None),
        ({"code": 400, "ended": "error"}, None),
        ({"code": 429, "ended": "error"}, None),
    ],
)
def test_whose_fault_an_end_is(changes: dict[str, object], sample: Sample | None) -> None:
    """A wrong body, a limit or the server's end say nothing of a version."""
    assert sample_of(replace(DONE, **changes), CHAT, text()) == sample  # type: ignore[arg-type]


def test_an_adapters_own_template_is_its_fault() -> None:
    """Although the client is told with a 400, as for what it did wrong itself."""
    refused = replace(DONE, code=400, ended="error")
    spoilt = sample_of(refused, CHAT, text(), TemplateFailed("the template failed"))
    assert spoilt == Sample(failed=True)
    assert sample_of(refused, CHAT, text(), InvalidRequest("no messages")) is None


def test_calls_that_generate_nothing() -> None:
    """A vector was made or not; the tokeniser is the base's."""
    assert sample_of(DONE, EMBEDDINGS, text()) == Sample(failed=False)
    assert sample_of(DONE, TOKENIZE, text()) is None


REFUSAL = "I'm sorry, but I can't help with that."


@pytest.mark.parametrize(
    "pieces",
    [
        [json.dumps({"choices": [{"message": {"content": REFUSAL}}]})],
        [json.dumps({"choices": [{"text": REFUSAL}]})],
        [json.dumps({"content": [{"type": "text", "text": REFUSAL}]})],
        [
            "data: " + json.dumps({"choices": [{"delta": {"content": part}}]}) + "\n\n"
            for part in (REFUSAL[:9], REFUSAL[9:20], REFUSAL[20:])
        ],
        [
            'event: x.delta\ndata: {"type":"response.output_text.delta","delta":'
            + json.dumps(part)
            + "}\n\n"
            for part in ("抱歉，我", "无法回答。")
        ],
    ],
    ids=["chat", "completions", "messages", "chat stream", "responses stream"],
)
def test_a_refusal_is_read_in_answers_of_every_call(pieces: list[str]) -> None:
    """Whole or in pieces, whatever escapes its JSON has."""
    found = sample_of(DONE, CHAT, text(*(piece.encode() for piece in pieces)))
    assert found is not None
    assert found.declines


def test_only_the_beginning_of_an_answer_is_kept() -> None:
    """A long answer takes no more memory, and where it is cut off breaks nothing."""
    piece = b'{"text": "' + b"x" * READ_BYTES + b'"}'
    gathered = text(b'{"text": "one "}', piece, b'{"text": "three"}')
    assert gathered.text() == "one "
