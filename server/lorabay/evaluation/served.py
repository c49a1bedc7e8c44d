"""Models behind an endpoint of OpenAI's kind: the base and adapters, asked by their names.

Answers come from chats. The loss comes from the server's log-probabilities of prompts, which vLLM
gives and others may refuse: then there is none. The tokens are those of the base's own tokenizer.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from lorabay.errors import SetupError
from lorabay.evaluation.sets import BASE
from lorabay.files.real_paths import real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lorabay.evaluation.sets import Question

PARALLEL = 8
"""Requests at a time; a server batches them."""

_ANSWER_S = 600.0
_TRIES = 8
_BUSY = frozenset({429, 502, 503})
_LONGEST_PAUSE_S = 30.0

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server is, and how it is asked."""

    url: str
    api_key: str | None = None
    parallel: int = PARALLEL


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One model of a server; `served_as` is its name there."""

    name: str
    served_as: str
    client: httpx.Client
    parallel: int

    def losses(
        self, questions: Sequence[Question], done: Callable[[int], None]
    ) -> list[float] | None:
        """Return the nats of each reference answer; None if the server does not say."""
        # The first alone: a server that does not say it of one says it of none.
        first = self._nats(questions[0])
        done(1)
        if first is None:
            done(len(questions) - 1)
            return None

        return [first, *self._each(self._known_nats, questions[1:], done)]

    def answers(
        self, questions: Sequence[Question], max_tokens: int, done: Callable[[int], None]
    ) -> list[str]:
        """Return a greedy answer to each question, in their order."""
        return self._each(lambda question: self._answer(question, max_tokens), questions, done)

    def _each(
        self,
        ask: Callable[[Question], Result],
        questions: Sequence[Question],
        done: Callable[[int], None],
    ) -> list[Result]:
        """Ask all questions, some at a time; return what came in their order."""
        with ThreadPoolExecutor(self.parallel) as pool:
            running = [pool.submit(ask, question) for question in questions]
            try:
                for future in as_completed(running):
                    future.result()
                    done(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return [future.result() for future in running]

    def _answer(self, question: Question, max_tokens: int) -> str:
        body = {
            "model": self.served_as,
            "messages": question.example.prompt,
            "max_tokens": max_tokens,
            "temperature": 0,
        }
        with _about(question):
            response = _post(self.client, "/v1/chat/completions", body)
            with _readable(response):
                return str(response.json()["choices"][0]["message"]["content"] or "")

    def _known_nats(self, question: Question) -> float:
        """Return the nats of a question; raises SetupError where the server does not say them."""
        nats = self._nats(question)
        if nats is None:
            raise SetupError(
                f"{question.example.source}: {self.client.base_url} says no loss of this question, "
                "but of others; it may be longer than the server's context"
            )
        return nats

    def _nats(self, question: Question) -> float | None:
        prompt, answer = question.encoded.prompt, question.encoded.answer
        body = {
            "model": self.served_as,
            "prompt": [*prompt, *answer],
            "max_tokens": 1,
            "temperature": 0,
            "prompt_logprobs": 0,
        }
        with _about(question):
            response = _post(self.client, "/v1/completions", body, refusable=True)
            if response.is_error:
                return None

            with _readable(response):
                found = response.json()["choices"][0].get("prompt_logprobs")
                if found is None:
                    return None
                of_answer = zip(found[len(prompt) :], answer, strict=True)
                return -sum(float(one[str(token)]["logprob"]) for one, token in of_answer)


@contextmanager
def _about(question: Question) -> Iterator[None]:
    """Name the question in a SetupError of the block."""
    try:
        yield
    except SetupError as error:
        raise SetupError(f"{question.example.source}: {error.message}") from error


@contextmanager
def _readable(response: httpx.Response) -> Iterator[None]:
    """Raise SetupError where the block finds something else than it looks for in an answer."""
    try:
        yield
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise SetupError(
            f"{response.url} answers what is not OpenAI's: {response.text[:300]}"
        ) from error


@contextmanager
def served_models(
    endpoint: Endpoint, adapter_dirs: Sequence[Path]
) -> Iterator[Iterator[ServedModel]]:
    """Yield the base of a server, then the adapters that are named like the folders.

    Raises SetupError for a server that does not answer, or that lacks one of them.
    """
    headers = {"authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    url = endpoint.url.rstrip("/").removesuffix("/v1")
    with httpx.Client(base_url=url, headers=headers, timeout=_ANSWER_S) as client:
        names = [real_path(folder).name for folder in adapter_dirs]
        served = _served(client)
        missing = [name for name in names if name not in served]
        if missing:
            raise SetupError(
                f"{endpoint.url} serves no {', '.join(missing)}, but {', '.join(served)}"
            )

        pairs = [(BASE, _base(served, endpoint.url)), *((name, name) for name in names)]
        yield (ServedModel(name, as_, client, endpoint.parallel) for name, as_ in pairs)


def _served(client: httpx.Client) -> dict[str, str | None]:
    """Return the models of a server, and the parent of each."""
    response = _send(client, "GET", "/v1/models")
    with _readable(response):
        return {str(model["id"]): model.get("parent") for model in response.json()["data"]}


def _base(served: dict[str, str | None], url: str) -> str:
    """Return the one model that has no parent."""
    found = [name for name, parent in served.items() if parent is None]
    if len(found) != 1:
        raise SetupError(f"{url} does not say which of its models is the base: {', '.join(served)}")
    return found[0]


def _post(
    client: httpx.Client, path: str, body: dict[str, Any], *, refusable: bool = False
) -> httpx.Response:
    """Return the answer to a request; with `refusable`, also one that says it is wrong."""
    return _send(client, "POST", path, body, refusable=refusable)


def _send(
    client: httpx.Client,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    *,
    refusable: bool = False,
) -> httpx.Response:
    """Send a request, again where the server is busy. Raises SetupError for what it refuses."""
    for again in range(_TRIES):
        try:
            response = client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise SetupError(f"{client.base_url} does not answer: {error!r}") from error

        if response.status_code not in _BUSY:
            break
        time.sleep(_pause(response, again))

    if response.is_success or (refusable and response.status_code == httpx.codes.BAD_REQUEST):
        return response
    raise SetupError(f"{response.url} answers {response.status_code}: {response.text[:300]}")


def _pause(response: httpx.Response, again: int) -> float:
    """Return the seconds that a busy server asks for, or twice as many as the last time."""
    asked = response.headers.get("retry-after", "")
    wanted = float(asked) if asked.isdecimal() else 0.25 * 2**again
    return min(wanted, _LONGEST_PAUSE_S)
