"""`model: auto` on the real engine: who answers, who pays, and what it costs."""

from __future__ import annotations

import time
from statistics import median

import httpx

from tests.e2e.conftest import BASE

QUESTIONS = {
    "finance": "Which of your savings accounts pays the most interest, and what is the catch?",
    "ecommerce": "I want to return the boots that I ordered last week. Who pays for the label?",
    "tech-support": "My Tern router blinks amber and there is no internet. What can I do?",
}
POEM = "Write a short poem about the moon over a quiet lake."
TOKENS, ROUNDS = 8, 12


def ask(http: httpx.Client, model: str, *turns: str, tokens: int = TOKENS) -> httpx.Response:
    roles = ("user", "assistant")
    messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(turns)]
    body = {"model": model, "messages": messages, "max_tokens": tokens, "temperature": 0}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer


def test_each_domain_gets_its_adapter(http: httpx.Client) -> None:
    """And the very answer of that adapter; a general question gets the base's."""
    for model, question in {**QUESTIONS, BASE: POEM}.items():
        chosen, named = ask(http, "auto", question), ask(http, model, question)
        is_base = model == BASE
        assert chosen.headers["x-adapter"] == ("__base__" if is_base else model)
        assert chosen.headers["x-route"].startswith("base;" if is_base else f"{model};why=domain")
        assert chosen.json()["model"] == "auto"
        texts = [answer.json()["choices"][0]["message"]["content"] for answer in (chosen, named)]
        assert texts[0] == texts[1]


def test_a_conversation_stays_with_its_adapter(http: httpx.Client) -> None:
    """Also when a later turn is about another domain."""
    first = QUESTIONS["finance"]
    later = ask(http, "auto", first, "The notice account.", QUESTIONS["tech-support"])
    assert later.headers["x-adapter"] == "finance"


def test_a_key_gets_its_own_adapters_and_pays_under_their_names(
    http: httpx.Client, admin: httpx.Client
) -> None:
    """What it may not use goes to the base; usage is the chosen adapter's."""
    wish = {"name": "auto-shop", "adapters": ["ecommerce", "base", "auto"]}
    made = admin.post("/admin/keys", json=wish).json()
    with httpx.Client(
        base_url=http.base_url, headers={"authorization": f"Bearer {made['key']}"}, timeout=120
    ) as shop:
        assert ask(shop, "auto", QUESTIONS["ecommerce"]).headers["x-adapter"] == "ecommerce"
        foreign = ask(shop, "auto", QUESTIONS["finance"])
        assert foreign.headers["x-route"].startswith("base;why=no-domain")

    report = admin.get(f"/admin/usage?by=adapter&key={made['id']}").json()
    assert {line["adapter"] for line in report["lines"]} == {"ecommerce", "__base__"}


def test_choosing_costs_little(http: httpx.Client, figures: list[str]) -> None:
    """Each question is new, so that nothing is remembered; every second one names the adapter."""
    times: dict[str, list[float]] = {"auto": [], "finance": []}
    for number in range(ROUNDS):
        for model, taken in times.items():
            question = f"Case {chr(97 + number)}{model}: {QUESTIONS['finance']}"
            began = time.perf_counter()
            ask(http, model, question, tokens=1)
            taken.append(time.perf_counter() - began)
    auto, named = (median(taken) * 1000 for taken in times.values())
    figures.append(f"model auto: {auto:.1f} ms to one token, {named:.1f} ms when it is named")
