"""The requests of a run: equal work, exact length, no shared prefix."""

from __future__ import annotations

import json

from lorabay.bench.workload import Workload, request_bodies


def test_models_are_asked_in_turn() -> None:
    """A mix of models is spread evenly, in the order given."""
    bodies = request_bodies(Workload(("base", "finance"), 4, 8), 4, seed=1)
    assert [json.loads(body)["model"] for body in bodies] == ["base", "finance", "base", "finance"]


def test_every_request_asks_for_the_same_amount_of_work() -> None:
    """Prompt and output have exactly the asked lengths, no early end, and usage is asked for."""
    for body in map(json.loads, request_bodies(Workload(("base",), 32, 64), 5, seed=1)):
        assert len(body["prompt"]) == 32
        assert (body["max_tokens"], body["ignore_eos"], body["temperature"]) == (64, True, 0)
        assert body["stream"] is True
        assert body["stream_options"] == {"include_usage": True}


def test_a_seed_names_its_requests() -> None:
    """Two servers given one seed get identical bodies; another seed gives other prompts."""
    workload = Workload(("base",), 16, 8)
    assert request_bodies(workload, 3, seed=7) == request_bodies(workload, 3, seed=7)
    assert request_bodies(workload, 3, seed=7) != request_bodies(workload, 3, seed=8)


def test_prompts_of_a_run_differ() -> None:
    """No prefix cache can answer one request of a run from another."""
    bodies = request_bodies(Workload(("base",), 16, 8), 50, seed=0)
    assert len({tuple(json.loads(body)["prompt"][:4]) for body in bodies}) == 50


def test_chat_prompts_have_as_many_words() -> None:
    """The chat endpoint gets one user message of the asked number of words."""
    (body,) = request_bodies(Workload(("base",), 20, 8, endpoint="chat"), 1, seed=0)
    (message,) = json.loads(body)["messages"]
    assert message["role"] == "user"
    assert len(message["content"].split()) == 20
