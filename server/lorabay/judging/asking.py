"""Answers of served adapters, asked for over HTTP by an OpenAI-compatible server's URL.

Answers are greedy and whole before anybody compares them, so a page shows nothing of how fast an
adapter is, or of what its server says about itself. Knows nothing of pairs.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx

from lorabay.errors import SetupError
from lorabay.judging.answers import AnswerSet
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lorabay.judging.questions import Question

AT_ONCE = 8
TIMEOUT_S = 600.0
SHOWN_CHARS = 300


@dataclass(frozen=True, slots=True)
class Place:
    """Where adapters are asked, and how much each may say."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    max_tokens: int = 512

    @property
    def endpoint(self) -> str:
        """The URL of chat completions; `url` may end in /v1, as clients write it."""
        root = self.url.rstrip("/").removesuffix("/v1")
        return f"{root}/v1/chat/completions"


def ask_adapters(
    place: Place, models: Sequence[str], questions: Sequence[Question]
) -> list[AnswerSet]:
    """Return what each model answers to each question; raises SetupError if one does not."""
    total = len(models) * len(questions)
    with progress_bar(total, "asking") as advance:
        return asyncio.run(_ask_all(place, models, questions, lambda: advance("asking", 1)))


async def _ask_all(
    place: Place, models: Sequence[str], questions: Sequence[Question], done: Callable[[], None]
) -> list[AnswerSet]:
    turns = asyncio.Semaphore(AT_ONCE)
    headers = {} if place.api_key is None else {"Authorization": f"Bearer {place.api_key}"}

    async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S) as client:

        async def ask(model: str, question: Question) -> str:
            async with turns:
                answer = await _ask(client, place, model, question)
            done()
            return answer

        sets = []
        for model in models:
            answers = await asyncio.gather(*(ask(model, question) for question in questions))
            given = dict(zip(questions, answers, strict=True))
            sets.append(AnswerSet(model, place.url, given))
        return sets


async def _ask(client: httpx.AsyncClient, place: Place, model: str, question: Question) -> str:
    body = {
        "model": model,
        "messages": question.messages(),
        "max_tokens": place.max_tokens,
        "temperature": 0,
    }
    try:
        response = await client.post(place.endpoint, json=body)
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        told = str(error) or type(error).__name__
        raise SetupError(f"cannot ask {model!r} at {place.url}: {told}") from error

    match answer:
        case {"choices": [{"message": {"content": str() as text}}]} if response.is_success:
            return text
    raise SetupError(f"{model!r} at {place.url} did not answer: {_told(response, answer)}")


def _told(response: httpx.Response, answer: Any) -> str:
    match answer:
        case {"error": {"message": str() as message}}:
            return f"{response.status_code}, {message}"[:SHOWN_CHARS]
    return f"{response.status_code}, {response.text}"[:SHOWN_CHARS]
