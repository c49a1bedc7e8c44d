"""Fully tuned models beside the adapters, from one server with one engine more.

Runs with `--whole-models` alone: its server starts up to three engines.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
from openai import OpenAI
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabay.base.transformers_quiet import quiet_transformers
from tests.e2e.conftest import ADAPTERS, ADMIN_KEY, API_KEY, BASE, REPOSITORY
from tests.e2e.folders import eventually, put
from tests.e2e.greedy import PROMPTS, Tokens, ask, generate
from tests.e2e.long_streams import end_of_long_stream, long_stream
from tests.e2e.server import PATIENCE_S, Server, page
from tests.processes import descendants

pytestmark = pytest.mark.timeout(1500)

NAME = "bank"
NOISE = 0.03
"""Changes of the base's weights, in parts of each matrix's spread: other answers, still words."""

UP_S = 300.0
"""Longest time until an engine is up."""

FLAGS = (
    *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--settle-s", "0.5", "--poll-s", "2"),
    *("--engine", "dtype=float32", "--engine", "max_model_len=1024"),
    *("--engine", "enforce_eager=true", "--max-models", "1"),
)


def tune(base: Path, folder: Path, seed: int) -> Tokens:
    """Make a model of the base's shapes with other weights; return its greedy answers."""
    with quiet_transformers():
        model: Any = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
        chance = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in model.parameters():
                noise = torch.randn(weight.shape, generator=chance)
                weight.add_(NOISE * weight.std() * noise if weight.ndim > 1 else 0)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return generate(model, tokenizer, NAME)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole-models")


@pytest.fixture(scope="module")
def tuned(base_folder: Path, folder: Path) -> dict[int, Tokens]:
    """Two versions in the folders `1` and `2`, and what each answers, in float32."""
    return {seed: tune(base_folder, folder / str(seed), seed) for seed in (1, 2)}


@pytest.fixture(scope="module")
def directory(folder: Path) -> Path:
    for name in ADAPTERS:
        shutil.copytree(REPOSITORY / "adapters" / name, folder / "adapters" / name)
    return folder / "adapters"


@pytest.fixture(scope="module")
def host(base_folder: Path, tuned: object, directory: Path, folder: Path) -> Iterator[Server]:
    """A server that has the three adapters, and room for one model."""
    flags = [*FLAGS, "--model-kv-cache-gib", "0.5", "--base", str(base_folder)]
    flags += ["--adapters", str(directory), "--store", str(folder / "store")]
    with Server(flags, log=folder / "server.log") as running:
        running.wait_for("ready")
        yield running


@pytest.fixture(scope="module")
def people(host: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{host.url}/v1", api_key=API_KEY, timeout=300, max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def admin(host: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=host.url, headers=headers, timeout=300) as client:
        yield client


def status(admin: httpx.Client, name: str) -> dict[str, Any]:
    shown = admin.get("/admin/adapters").json()["adapters"]
    return next((one for one in shown if one["name"] == name), {"state": "unseen", "live": None})


def answers(people: OpenAI, model: str) -> Tokens:
    """Ask all prompts at once."""
    with ThreadPoolExecutor(len(PROMPTS)) as pool:
        found = pool.map(lambda index: ask(people, model, index), range(len(PROMPTS)))
        return {(NAME, index): tokens for index, tokens in enumerate(found)}


def engines(host: Server) -> list[psutil.Process]:
    """Return the engine processes, the oldest first: the adapters' own."""
    found = [one for one in descendants(host.process.pid) if "EngineCore" in one.name()]
    return sorted(found, key=lambda one: one.create_time())


def test_a_tuned_model_answers_beside_the_adapters(
    host: Server,
    people: OpenAI,
    admin: httpx.Client,
    directory: Path,
    folder: Path,
    tuned: dict[int, Tokens],
    figures: list[str],
) -> None:
    """Each token is transformers' of that model, and the adapters answer as before."""
    before = {name: answers(people, name) for name in (BASE, *ADAPTERS)}
    began = time.monotonic()
    put(directory, NAME, folder / "1")
    eventually(lambda: status(admin, NAME)["state"] == "ready", "the model is served", UP_S)
    took = time.monotonic() - began

    found = answers(people, NAME)
    equal = sum(found[case] == tokens for case, tokens in tuned[1].items())
    moved = sum(before[BASE][case] != tokens for case, tokens in tuned[1].items())
    sizes = [sum(one.memory_info().rss for one in _family(core)) >> 20 for core in engines(host)]
    figures.append(
        f"a fully tuned model beside three adapters: {equal} of {len(found)} greedy answers are "
        f"transformers', {moved} differ from the base's; served {took:.0f} s after its folder "
        f"came; resident MiB of the engines {sizes}"
    )
    assert found == tuned[1]
    assert moved > len(found) / 2
    assert {name: answers(people, name) for name in before} == before

    listed = {card.id: card for card in people.models.list()}
    assert set(ADAPTERS) | {NAME, BASE} <= listed.keys()
    assert listed[NAME].model_dump()["parent"] is None


def _family(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def test_both_engines_are_in_the_metrics(host: Server) -> None:
    """lorabay's by the name, vLLM's by the version in `model_name`."""
    shown = page(host.url)
    assert shown.total("lorabay_requests_total", adapter=NAME, code="200") >= len(PROMPTS)
    text = httpx.get(f"{host.url}/metrics", timeout=PATIENCE_S).text
    series = [line for line in text.splitlines() if line.startswith("vllm:generation_tokens_total")]
    assert len(series) == 2
    assert sum(f'model_name="{NAME}@' in line for line in series) == 1
    assert text.count("# TYPE vllm:generation_tokens_total") <= 1


def test_a_swap_and_a_rollback_lose_no_request(
    host: Server,
    people: OpenAI,
    admin: httpx.Client,
    directory: Path,
    folder: Path,
    tuned: dict[int, Tokens],
) -> None:
    """A stream of the old version ends on it; the next request meets the new one."""
    old = status(admin, NAME)["live"]
    stream = iter(long_stream(people, NAME, PROMPTS[0]))
    next(stream)
    put(directory, NAME, folder / "2")
    eventually(lambda: status(admin, NAME)["live"] != old, "the name means the new one", UP_S)
    assert answers(people, NAME) == tuned[2]
    assert len(list(stream)) > 100

    rolled = admin.post(f"/admin/adapters/{NAME}/rollback", json={})
    assert rolled.status_code == 200, rolled.text
    assert status(admin, NAME)["live"] == old
    assert answers(people, NAME) == tuned[1]
    eventually(lambda: len(engines(host)) == 2, "the other one has ended")


def test_a_further_model_is_refused_with_the_reason(
    people: OpenAI, admin: httpx.Client, directory: Path, folder: Path
) -> None:
    """It takes no place from the one that is served, and the reason names the setting."""
    put(directory, "shop", folder / "2")
    eventually(lambda: status(admin, "shop")["state"] == "pending", "it is refused", UP_S)
    eventually(lambda: bool(status(admin, "shop")["reasons"]), "the reason is there", UP_S)
    (reason,) = status(admin, "shop")["reasons"]
    assert (reason["code"], "--max-models" in reason["text"]) == ("no_room_for_model", True)
    assert ask(people, NAME, 0)
    shutil.rmtree(directory / "shop")


def test_a_killed_engine_takes_its_own_requests_alone(
    host: Server, people: OpenAI, admin: httpx.Client, tuned: dict[int, Tokens], figures: list[str]
) -> None:
    """Adapters stream on, the server is ready all the time, and the model comes back."""
    first, second = engines(host)
    with ThreadPoolExecutor(2) as pool:
        adapter = pool.submit(end_of_long_stream, people, ADAPTERS[0], PROMPTS[0])
        model = pool.submit(end_of_long_stream, people, NAME, PROMPTS[0])
        eventually(lambda: _running(host) >= 2, "both stream")
        second.send_signal(signal.SIGKILL)
        assert model.result(PATIENCE_S) == "engine_unavailable"
        began = time.monotonic()
        assert host.status("/ready") == 200
        assert adapter.result(PATIENCE_S) == "finished"

    eventually(lambda: _answers(host), "the model answers again", UP_S)
    figures.append(f"a killed engine of a model was back after {time.monotonic() - began:.0f} s")
    assert answers(people, NAME) == tuned[1]
    assert engines(host)[0] == first
    happened = [event["what"] for event in admin.get("/admin/events").json()["events"]]
    assert "model engine died" in happened


def _running(host: Server) -> float:
    return page(host.url).total("lorabay_requests_running")


def _answers(host: Server) -> bool:
    body = {"model": NAME, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    headers = {"authorization": f"Bearer {API_KEY}"}
    url = f"{host.url}/v1/chat/completions"
    return httpx.post(url, json=body, headers=headers, timeout=PATIENCE_S).status_code == 200


def test_the_adapters_engine_may_die_meanwhile(host: Server, people: OpenAI) -> None:
    """The model answers while the adapters' engine is rebuilt."""
    first, second = engines(host)
    first.send_signal(signal.SIGKILL)
    eventually(lambda: host.status("/ready") == 503, "its death is noticed")
    assert ask(people, NAME, 0)
    eventually(lambda: host.status("/ready") == 200, "it is back", UP_S)
    assert ask(people, ADAPTERS[0], 0)
    assert second.is_running()


def test_a_model_that_does_not_fit_is_refused(
    base_folder: Path, tuned: object, directory: Path, folder: Path
) -> None:
    """The reason says how much is missing and what to do; adapters answer."""
    flags = [*FLAGS, "--model-kv-cache-gib", "1000", "--base", str(base_folder)]
    flags += ["--adapters", str(directory), "--store", str(folder / "other-store")]
    with Server(flags, log=folder / "other.log") as running:
        running.wait_for("ready")
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        with httpx.Client(base_url=running.url, headers=headers, timeout=300) as admin:
            eventually(lambda: bool(status(admin, NAME).get("reasons")), "it is refused", UP_S)
            (reason,) = status(admin, NAME)["reasons"]
        url = f"{running.url}/v1"
        with OpenAI(base_url=url, api_key=API_KEY, timeout=300, max_retries=0) as client:
            assert ask(client, ADAPTERS[0], 0)
    assert reason["code"] == "no_room_for_model"
    assert "MiB more than" in reason["text"]
    assert "--model-kv-cache-gib" in reason["text"]
