"""Two engines on a Ray cluster behind one server: residency, balance, swaps, deaths, departures.

Runs with `--ray` alone. The cluster is one machine: what more than one of them adds is not shown.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from tests.e2e.conftest import ADMIN_KEY, API_KEY, REPOSITORY
from tests.e2e.server import PATIENCE_S, Server

pytestmark = pytest.mark.timeout(1500)

COUNT = 8
NAMES = tuple(f"adapter-{number}" for number in range(COUNT))
STREAMS = 8
SOURCE = REPOSITORY / "adapters" / "finance"
FLAGS = (
    *("--api-key", API_KEY, "--admin-key", ADMIN_KEY, "--settle-s", "0.2", "--poll-s", "1"),
    *("--ray-replicas", "2", "--grace-s", "30"),
    *("--engine", "dtype=float32", "--engine", "max_model_len=512"),
    *("--engine", "max_num_seqs=16", "--engine", "enforce_eager=true"),
    *("--engine", "max_loras=4", "--engine", "max_cpu_loras=5"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight adapters: copies of one, each with weights of its own by a hair."""
    made = tmp_path_factory.mktemp("ray-adapters")
    for number, name in enumerate(NAMES):
        copy_of(SOURCE, made / name, 1 + number / 64)
    return made


def copy_of(source: Path, target: Path, factor: float) -> None:
    """Copy an adapter with its alpha times a factor, and put it into place at once."""
    hidden = target.with_name(f".{target.name}")
    former = target.with_name(f".old-{target.name}")
    shutil.copytree(source, hidden)
    config = json.loads((hidden / "adapter_config.json").read_text())
    config["lora_alpha"] *= factor
    (hidden / "adapter_config.json").write_text(json.dumps(config))

    if target.exists():
        target.rename(former)
    hidden.rename(target)
    shutil.rmtree(former, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster(
    base_folder: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory, figures: list[str]
) -> Iterator[Server]:
    work = tmp_path_factory.mktemp("ray")
    arguments = [
        *("--base", str(base_folder), "--adapters", str(folder), "--store", str(work / "store")),
        *FLAGS,
    ]
    with Server(arguments, log=work / "server.log") as running:
        running.wait_for("ready")
        figures.append(f"ray: two engines ready after {running.age_s:.0f} s")
        yield running


@pytest.fixture(scope="module")
def http(cluster: Server) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=cluster.url, headers=headers, timeout=PATIENCE_S) as client:
        yield client


@pytest.fixture(scope="module")
def handle(cluster: Server) -> Iterator[Any]:
    """A handle of the replicas, to ask them for their counts."""
    import ray
    from ray import serve

    ray.init(address="auto", log_to_driver=False)
    made = serve.get_deployment_handle("engine", "lorabay-engines")
    yield made
    made.shutdown()
    ray.shutdown()
    # Serve keeps the handles of one cluster for the next.
    serve.context._set_global_client(None)


def counts(handle: Any) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = handle.broadcast("record_routing_stats").results(timeout_s=30)
    return told


def engine_of(replica: dict[str, Any]) -> int:
    """Return the process of a replica's engine."""
    children = psutil.Process(replica["pid"]).children()
    (engine,) = [child for child in children if "EngineCore" in " ".join(child.cmdline())]
    return engine.pid


def ask(http: httpx.Client, model: str, tokens: int = 4, session: str = "") -> httpx.Response:
    return http.post(
        "/v1/completions",
        json={"model": model, "prompt": f"Hello {session}", "max_tokens": tokens, "seed": 1},
        headers={"x-session-id": session} if session else {},
    )


def drive(http: httpx.Client, models: list[str], tokens: int = 4) -> list[int]:
    """Ask them in order with some streams at a time; return the statuses."""
    with ThreadPoolExecutor(STREAMS) as pool:
        asked = [
            pool.submit(ask, http, model, tokens, f"s{number}")
            for number, model in enumerate(models)
        ]
        return [one.result().status_code for one in asked]


def test_engines_give_way_to_nobody(cluster: Server, handle: Any) -> None:
    """They have the server's priority: another program beside them must not starve them."""
    own = psutil.Process(cluster.process.pid).nice()
    assert {psutil.Process(one["pid"]).nice() for one in counts(handle)} == {own}


def test_adapters_are_found_where_they_are(
    http: httpx.Client, handle: Any, figures: list[str]
) -> None:
    """Eight adapters, room for four in each replica, Zipf: the weights are there on arrival."""
    chance = np.random.default_rng(0)
    weights = 1 / np.arange(1, COUNT + 1)
    picked = chance.choice(COUNT, size=400, p=weights / weights.sum())
    drive(http, [NAMES[number] for number in picked[:40]])
    before = counts(handle)
    statuses = drive(http, [NAMES[number] for number in picked])
    after = counts(handle)

    asked = sum(one["asked"] for one in after) - sum(one["asked"] for one in before)
    found = sum(one["found"] for one in after) - sum(one["found"] for one in before)
    figures.append(f"ray: {found} of {asked} requests found their adapter ({found / asked:.1%})")
    assert set(statuses) == {200}
    assert asked == 400
    assert found / asked >= 0.95


def test_a_hot_adapter_is_on_both(http: httpx.Client, handle: Any, figures: list[str]) -> None:
    """With 60 % of the traffic on one adapter, neither replica has much more to do."""
    chance = np.random.default_rng(1)
    others = [NAMES[number] for number in chance.integers(1, COUNT, 400)]
    models = [NAMES[0] if chance.random() < 0.6 else other for other in others]
    drive(http, models[:100])
    before = {one["pid"]: one["asked"] for one in counts(handle)}
    drive(http, models[100:])
    work = [one["asked"] - before[one["pid"]] for one in counts(handle)]
    figures.append(f"ray: 60 % on one adapter: {work} requests")
    assert max(work) / (sum(work) / 2) <= 1.3


def test_a_swap_over_both_takes_two_seconds(
    http: httpx.Client, handle: Any, folder: Path, figures: list[str]
) -> None:
    """Ten megabytes, from their place in the folder to an answer, while nobody else asks."""
    drive(http, [NAMES[0]] * 64)
    took: list[float] = []
    for number in range(5):
        version = ask(http, NAMES[0], 1).headers["x-adapter-version"]
        held = {one["pid"]: set(one["held"]) for one in counts(handle)}
        copy_of(SOURCE, folder / NAMES[0], 5 + number / 4)
        began = time.monotonic()
        while ask(http, NAMES[0], 1).headers["x-adapter-version"] == version:
            assert time.monotonic() - began < PATIENCE_S
        took.append(time.monotonic() - began)
        assert all(set(one["held"]) - held[one["pid"]] for one in counts(handle))

    size_mb = (SOURCE / "adapter_model.safetensors").stat().st_size / 1e6
    figures.append(
        f"ray: a swap of {size_mb:.1f} MB on both replicas took {np.median(took):.2f} s at the "
        f"median, {max(took):.2f} s at the most"
    )
    assert np.median(took) <= 2


def test_swaps_fail_nothing_and_never_go_back(
    http: httpx.Client, folder: Path, request: pytest.FixtureRequest, figures: list[str]
) -> None:
    """Swaps under load: no failure, and no client sees an older version after a newer one."""
    swaps: int = request.config.getoption("--swaps")
    seen: list[list[str]] = [[] for _ in range(4)]
    failed: list[int] = []
    stop = threading.Event()

    def follow(own: list[str]) -> None:
        while not stop.is_set():
            answer = ask(http, NAMES[0], 2)
            if answer.status_code != 200:
                failed.append(answer.status_code)
            else:
                own.append(answer.headers["x-adapter-version"])

    threads = [threading.Thread(target=follow, args=(own,)) for own in seen]
    for thread in threads:
        thread.start()
    order: list[str] = []
    took: list[float] = []
    for number in range(swaps):
        began = time.monotonic()
        copy_of(SOURCE, folder / NAMES[0], 2 + number / 64)
        known = set(order) | {seen[0][-1]} if seen[0] else set(order)
        while (version := ask(http, NAMES[0], 1).headers["x-adapter-version"]) in known:
            assert time.monotonic() - began < PATIENCE_S
        order.append(version)
        took.append(time.monotonic() - began)
    stop.set()
    for thread in threads:
        thread.join()

    figures.append(
        f"ray: {swaps} swaps under load took {np.median(took):.1f} s at the median, at most "
        f"{max(took):.1f} s; {sum(map(len, seen))} answers, {len(failed)} failed"
    )
    assert failed == []
    for own in seen:
        places = [order.index(version) for version in own if version in order]
        assert places == sorted(places)


def test_a_client_that_leaves_frees_the_engine(http: httpx.Client, handle: Any) -> None:
    """Within a second nothing of it runs."""
    body = {"model": NAMES[1], "prompt": "Hello", "max_tokens": 400, "ignore_eos": True}
    with http.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
        lines = response.iter_lines()
        next(lines)
        assert sum(sum(one["running"].values()) for one in counts(handle)) == 1
    left = time.monotonic()
    while any(one["running"] for one in counts(handle)):
        assert time.monotonic() - left < 1.5


@pytest.mark.parametrize("what", ["replica", "engine"])
def test_a_killed_replica_fails_only_its_own(
    http: httpx.Client, handle: Any, figures: list[str], what: str
) -> None:
    """Its streams end with an event that says so; others go on, and it comes back.

    Without an engine it ends as well.
    """
    body = {"prompt": "Hello", "max_tokens": 60, "ignore_eos": True, "stream": True}

    def stream(model: str) -> list[str]:
        with http.stream("POST", "/v1/completions", json={"model": model, **body}) as response:
            return [line for line in response.iter_lines() if line]

    with ThreadPoolExecutor(COUNT) as pool:
        streams = [pool.submit(stream, name) for name in NAMES]
        begun = time.monotonic()
        while sum(sum(one["running"].values()) for one in counts(handle)) < COUNT:
            assert time.monotonic() - begun < PATIENCE_S
            time.sleep(0.05)
        victim = max(counts(handle), key=lambda one: sum(one["running"].values()))
        hit = sum(victim["running"].values())
        os.kill(victim["pid"] if what == "replica" else engine_of(victim), signal.SIGKILL)
        answers = [one.result() for one in streams]
    broken = [lines for lines in answers if any('"error"' in line for line in lines)]
    assert 1 <= len(broken) <= hit
    assert all(lines[-1] == "data: [DONE]" for lines in answers if lines not in broken)

    began = time.monotonic()
    assert drive(http, [*NAMES]) == [200] * COUNT
    while len(counts(handle)) < 2:
        assert time.monotonic() - began < 300
        time.sleep(1)
    figures.append(
        f"ray: {len(broken)} of {COUNT} streams ended with their {what}, which was back after "
        f"{time.monotonic() - began:.0f} s"
    )


def test_it_ends_with_its_replicas(cluster: Server) -> None:
    """SIGTERM drains, and nothing of Ray stays."""
    assert cluster.terminate() == 0
