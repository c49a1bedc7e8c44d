"""Strangers' adapters in a running server's directory answer as PEFT does, all in one batch.

Runs with `--strangers` alone: two dozen adapters are made first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from transformers import AutoTokenizer

from tests.e2e import strangers
from tests.e2e.conftest import BASE
from tests.e2e.folders import eventually, put, remove
from tests.e2e.strangers import LENGTH, PLAIN, PROMPTS, STRANGERS, Greedy, made_in

pytestmark = pytest.mark.timeout(1200)

TOLERANCE = 2e-3
"""Of the log-probability of a chosen token, in float32."""

Answers = Mapping[str, list[Greedy]]


@pytest.fixture(scope="module")
def tokenizer(base_folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(base_folder)


@pytest.fixture(scope="module")
def made(base_folder: Path, request: pytest.FixtureRequest) -> tuple[Path, Answers]:
    """Folders of all strangers, and PEFT's answers with each and with none.

    Making them takes minutes, so a later run finds them in pytest's cache while they are the same.
    """
    seal = hashlib.sha256(Path(strangers.__file__).read_bytes()).hexdigest()[:16]
    folder = request.config.cache.mkdir(f"strangers-{seal}")
    answers = made_in(folder, base_folder)
    answers[BASE] = answers.pop(PLAIN)
    return folder, answers


@pytest.fixture(scope="module")
def served(made: tuple[Path, Answers], adapters: Path, http: httpx.Client) -> Iterator[None]:
    """All of them lie in the directory, and each is listed or rejected."""
    folder, _ = made
    for name in STRANGERS:
        put(adapters, name, folder / name)
    yield
    for name in STRANGERS:
        remove(adapters, name)
    eventually(lambda: not STRANGERS.keys() & listed(http), "the strangers are gone")


def listed(http: httpx.Client) -> set[str]:
    return {model["id"] for model in http.get("/v1/models").json()["data"]}


def state(admin: httpx.Client, name: str) -> str:
    """Return an adapter's state, with the reasons for it."""
    answer = admin.get(f"/admin/adapters/{name}")
    if answer.status_code != 200:
        return "unseen"
    found = answer.json()
    reasons = found.get("reasons") or []
    return " ".join([str(found["state"]), *map(str, reasons)])


def ask(http: httpx.Client, tokenizer: Any, name: str, index: int) -> Greedy:
    body = {
        "model": name,
        "prompt": tokenizer(PROMPTS[index]).input_ids,
        "max_tokens": LENGTH,
        "ignore_eos": True,
        "temperature": 0,
        "logprobs": 1,
        "return_tokens_as_token_ids": True,
    }
    answer = http.post("/v1/completions", json=body)
    assert answer.status_code == 200, f"{name}: {answer.text}"
    (choice,) = answer.json()["choices"]
    tokens = [int(token.removeprefix("token_id:")) for token in choice["logprobs"]["tokens"]]
    return Greedy(tokens, choice["logprobs"]["token_logprobs"])


@pytest.mark.usefixtures("served")
def test_each_answers_like_peft(
    http: httpx.Client,
    admin: httpx.Client,
    tokenizer: Any,
    made: tuple[Path, Answers],
    figures: list[str],
) -> None:
    """Token for token, with its log-probability, and none like the base."""
    _, expected = made
    eventually(
        lambda: all(state(admin, name).split()[0] in ENDS for name in STRANGERS),
        "every stranger is served or rejected",
    )
    states = {name: state(admin, name) for name in STRANGERS}
    refused = {name: found for name, found in states.items() if not found.startswith("ready")}
    assert refused == {}

    cases = [(name, index) for index in range(len(PROMPTS)) for name in expected]
    with ThreadPoolExecutor(16) as pool:
        found = dict(
            zip(cases, pool.map(lambda case: ask(http, tokenizer, *case), cases), strict=True)
        )

    wrong = [case for case in cases if found[case].tokens != expected[case[0]][case[1]].tokens]
    far = {case: difference(found[case], expected[case[0]][case[1]]) for case in cases}
    moved = {name: difference(expected[name][0], expected[BASE][0]) for name in STRANGERS}
    figures.append(
        f"{len(STRANGERS)} strangers' adapters and the base in one batch: {len(cases) - len(wrong)}"
        f" of {len(cases)} greedy answers are PEFT's, log-probabilities within "
        f"{max(far.values()):.1e}; the least effect is {min(moved.values()):.1e} "
        f"({min(moved, key=lambda name: moved[name])})"
    )
    assert wrong == []
    assert {case: by for case, by in far.items() if by > TOLERANCE} == {}
    assert {name: by for name, by in moved.items() if by < 10 * TOLERANCE} == {}


ENDS = ("ready", "rejected", "failed")


def difference(one: Greedy, two: Greedy) -> float:
    """Return the largest difference of log-probabilities while the tokens agree."""
    largest = 0.0
    pairs = zip(one.tokens, two.tokens, one.log_probs, two.log_probs, strict=True)
    for first, second, this, that in pairs:
        largest = max(largest, abs(this - that))
        if first != second:
            break
    return largest
