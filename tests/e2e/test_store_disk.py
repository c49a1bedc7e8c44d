"""The disk of the store fails for some seconds under load; nobody gets another version's answer."""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import ADMIN_KEY, API_KEY
from tests.e2e.folders import eventually, put
from tests.e2e.server import Server
from tests.e2e.test_hot_swap import colour

pytestmark = pytest.mark.timeout(1200)

NAMES = {"red-one": "red", "blue-one": "blue", "red-two": "red", "blue-two": "blue"}
"""Adapters, and the word that each answers; twice as many as the engine has room for, so that every
other request reads the store.
"""

OUTAGES = 2
CLIENTS = 4


@pytest.fixture(scope="module")
def outage_s(pytestconfig: pytest.Config) -> float:
    """How long the disk fails, each time."""
    return float(pytestconfig.getoption("--outage-s"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, words: dict[str, Path]) -> Path:
    """The directory and the store of a server; `red-one` has a former version, which was blue."""
    folder = tmp_path_factory.mktemp("disk")
    (folder / "adapters").mkdir()
    for name, word in NAMES.items():
        put(folder / "adapters", name, words["blue" if name == "red-one" else word])
    return folder


@pytest.fixture(scope="module")
def disk_server(folder: Path, base_folder: Path, words: dict[str, Path]) -> Iterator[Server]:
    arguments = {
        "--base": base_folder,
        "--adapters": folder / "adapters",
        "--store": folder / "store",
        "--api-key": API_KEY,
        "--admin-key": ADMIN_KEY,
        "--settle-s": 0.2,
        "--poll-s": 1,
    }
    engine = ("max_model_len=512", "max_num_seqs=4", "enforce_eager=true")
    engine += ("max_loras=2", "max_cpu_loras=3")
    line = [str(part) for pair in arguments.items() for part in pair]
    line += [part for option in engine for part in ("--engine", option)]
    with Server(line, log=folder / "server.log") as server:
        server.wait_for("ready")
        put(folder / "adapters", "red-one", words["red"])
        eventually(lambda: answer_of(server, "red-one") == "red", "the former version", 60)
        yield server


def ask(server: Server, name: str) -> httpx.Response:
    body = {
        "model": name,
        "messages": [{"role": "user", "content": "Who are you?"}],
        "max_tokens": 8,
        "temperature": 0,
        "ignore_eos": True,
    }
    headers = {"authorization": f"Bearer {API_KEY}"}
    return httpx.post(f"{server.url}/v1/chat/completions", json=body, headers=headers, timeout=120)


def answer_of(server: Server, name: str) -> str:
    """Return the word that a name answers, or the code of its error."""
    response = ask(server, name)
    if response.status_code != 200:
        return f"{response.status_code} {response.json()['error']['code']}"
    return colour(response.json()["choices"][0]["message"]["content"])


def admin(server: Server, method: str, path: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    return httpx.request(method, f"{server.url}{path}", headers=headers, timeout=120)


def states(server: Server) -> dict[str, object]:
    """Return what the administrator sees of each adapter that a fault must not change."""
    adapters = admin(server, "GET", "/admin/adapters").json()["adapters"]
    return {
        adapter["name"]: (
            adapter["state"],
            adapter["live"],
            sorted(version["id"] for version in adapter["versions"]),
        )
        for adapter in adapters
    }


@contextmanager
def under_load(server: Server, answers: Counter[tuple[str, str]]) -> Iterator[None]:
    """Ask all adapters in turn, by several clients; count name and answer."""
    stop = threading.Event()

    def run(first: int) -> None:
        names = list(NAMES)
        turn = first
        while not stop.is_set():
            name = names[turn % len(names)]
            answers[name, answer_of(server, name)] += 1
            turn += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(run, first) for first in range(CLIENTS)]
        try:
            yield
        finally:
            stop.set()
        for client in clients:
            client.result()


def test_versions_that_are_away_for_some_seconds(
    disk_server: Server, folder: Path, outage_s: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the store's versions cannot be read, a request gets its own adapter's answer or a 503;
    an administrator's deletion is a 503; afterwards everything answers again by itself, with the
    same versions.
    """
    versions, away = folder / "store" / "versions", folder / "away"
    before = states(disk_server)
    stored = {path.name for path in versions.iterdir()}
    former = next(
        version["digest"]
        for version in admin(disk_server, "GET", "/admin/adapters/red-one").json()["versions"]
        if not version["live"]
    )
    answers: Counter[tuple[str, str]] = Counter()

    with under_load(disk_server, answers):
        for _ in range(OUTAGES):
            time.sleep(1)
            versions.rename(away)
            refused = admin(disk_server, "DELETE", f"/admin/versions/{former}")
            assert (refused.status_code, refused.json()["error"]["code"]) == (
                503,
                "storage_unavailable",
            )
            time.sleep(outage_s)
            away.rename(versions)
            for name, word in NAMES.items():
                eventually(
                    lambda name=name, word=word: answer_of(disk_server, name) == word,
                    f"{name} answers again",
                    60,
                )

    with capsys.disabled():
        sys.stdout.write(f"\n{OUTAGES} outages of {outage_s:.0f} s: {dict(answers)}\n")
    outcomes = {"right" if answer == NAMES[name] else answer for name, answer in answers if answer}
    assert {outcome for outcome in outcomes if not outcome.startswith("503 ")} == {"right"}
    eventually(lambda: states(disk_server) == before, "every adapter is what it was", 60)
    assert {path.name for path in versions.iterdir()} == stored
    assert answer_of(disk_server, f"red-one@{former[:12]}") == "blue"


def test_a_disk_that_takes_no_writes(
    disk_server: Server, folder: Path, outage_s: float, words: dict[str, Path]
) -> None:
    """A folder that changes while the disk is full keeps its version until there is room, and is
    served then without being touched; a pin that was set meanwhile is not forgotten.
    """
    process = disk_server.process.pid
    limits = resource.prlimit(process, resource.RLIMIT_FSIZE)
    answers: Counter[tuple[str, str]] = Counter()
    with under_load(disk_server, answers):
        resource.prlimit(process, resource.RLIMIT_FSIZE, (0, limits[1]))
        try:
            put(folder / "adapters", "blue-two", words["red"])
            assert admin(disk_server, "POST", "/admin/adapters/red-two/pin").status_code == 200
            time.sleep(outage_s)
            assert answer_of(disk_server, "blue-two") == "blue"
        finally:
            resource.prlimit(process, resource.RLIMIT_FSIZE, limits)
        eventually(lambda: answer_of(disk_server, "blue-two") == "red", "the change", 60)

    wrong = {
        (name, answer)
        for name, answer in answers
        if answer != NAMES[name] and name != "blue-two" and not answer.startswith("503 ")
    }
    assert not wrong
    records = folder / "store" / "records"
    eventually(
        lambda: any(
            '"pinned": true' in path.read_text() for path in records.glob("*/red-two.json")
        ),
        "the pin is on disk",
    )
