"""A new version takes over from the live one on the real engine, or is taken back.

`--rollout-requests 2000` sends 2,000 requests of 500 clients, and takes minutes; by default it is a
fifth of that.
"""

from __future__ import annotations

import math
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.folders import eventually, put, remove
from tests.e2e.server import metric

pytestmark = pytest.mark.timeout(3600)

NAME = "rolled"
ADAPTER, ROLLOUT = f"/admin/adapters/{NAME}", f"/admin/adapters/{NAME}/rollout"
AT_ONCE = 8
PER_CLIENT = 4
CROWD = 200
BROKEN_TEMPLATE = "{{ messages[0].x.y }}"
"""Passes for a template until it is rendered."""

SLOW_BACK_S, MANY_BAD = 60.0, 50
"""A bad canary is taken back after this time, or after so many of its answers."""


@dataclass(frozen=True)
class Answer:
    """What a client saw of one request."""

    user: str
    status: int
    version: str
    ended_at: float


@pytest.fixture(autouse=True)
def clean(adapters: Path, admin: httpx.Client) -> Iterator[None]:
    """Take away what a test published."""
    yield
    if (adapters / NAME).exists():
        remove(adapters, NAME)
    eventually(lambda: live(admin) is None, "the test's adapter is gone")


def live(admin: httpx.Client) -> str | None:
    answer = admin.get(ADAPTER)
    return answer.json()["live"] if answer.status_code == 200 else None


def serve(admin: httpx.Client, adapters: Path, source: Path) -> str:
    """Publish a version, and return its name when it is live."""
    before = live(admin)
    put(adapters, NAME, source)
    eventually(lambda: live(admin) not in (None, before), "the new version is live")
    return str(live(admin))


def variant(
    folder: Path, source: Path, *, tokens: int = 1, more: str = "", template: str | None = None
) -> Path:
    """Return a copy of an adapter that says how long its answers are, and `more`."""
    shutil.copytree(source, folder)
    (folder / "lorabay.toml").write_text(f"[sampling]\nmax_tokens = {tokens}\n{more}")
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder


def ask(http: httpx.Client, user: str) -> Answer:
    """Ask for as many tokens as the adapter prefers."""
    body = {
        "model": NAME,
        "user": user,
        "messages": [{"role": "user", "content": "Who?"}],
        "ignore_eos": True,
    }
    answer = http.post("/v1/chat/completions", json=body)
    return Answer(
        user,
        answer.status_code,
        answer.headers.get("x-adapter-version", ""),
        time.monotonic(),
    )


def crowd(http: httpx.Client, requests: int, clients: int) -> list[Answer]:
    """Have many clients ask in turns, `AT_ONCE` at a time."""
    users = [f"user {number % clients}" for number in range(requests)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda user: ask(http, user), users))


def versions_by_user(answers: list[Answer]) -> dict[str, set[str]]:
    seen: dict[str, set[str]] = defaultdict(set)
    for answer in answers:
        seen[answer.user].add(answer.version)
    return seen


def test_a_tenth_of_the_clients_gets_the_canary_and_keeps_it(
    http: httpx.Client,
    admin: httpx.Client,
    adapters: Path,
    words: dict[str, Path],
    tmp_path: Path,
    request: pytest.FixtureRequest,
    figures: list[str],
) -> None:
    """Each client always gets the same version, and with a greater share nobody is sent back."""
    former = serve(admin, adapters, variant(tmp_path / "red", words["red"]))
    now = serve(admin, adapters, variant(tmp_path / "blue", words["blue"]))
    canary, kept = former.partition("@")[2], now.partition("@")[2]
    started = admin.post(ROLLOUT, json={"version": former, "share": 10})
    assert started.status_code == 200, started.text

    requests = request.config.getoption("--rollout-requests")
    begun = time.monotonic()
    answers = crowd(http, requests, requests // PER_CLIENT)
    seconds = time.monotonic() - begun
    assert {answer.status for answer in answers} == {200}
    seen = versions_by_user(answers)
    assert all(len(versions) == 1 for versions in seen.values())
    got_it = sum(answer.version == canary for answer in answers)
    share = got_it / requests * 100
    # Who is a client's share of the whole is chance: three standard deviations of that.
    spread = 300 * math.sqrt(0.1 * 0.9 / len(seen))
    assert abs(share - 10) <= max(2.0, spread)
    report = admin.get(ROLLOUT).json()
    assert report["answers"] == {"canary": got_it, "live": requests - got_it}

    more = admin.post(ROLLOUT, json={"version": former, "share": 40})
    assert more.status_code == 200, more.text
    later = versions_by_user(crowd(http, len(seen), len(seen)))
    moved_back = [user for user in seen if seen[user] == {canary} and later[user] != {canary}]
    assert moved_back == []
    assert {kept} in later.values()

    assert admin.post(f"{ROLLOUT}/promote").status_code == 200
    assert live(admin) == former
    figures.append(
        f"a canary of 10 %, {requests} requests of {len(seen)} clients: {share:.2f} % of the "
        f"requests, {100 if all(len(v) == 1 for v in seen.values()) else 0} % sticky, "
        f"{seconds:.0f} s"
    )


@pytest.mark.parametrize("fault", ["failing", "endless"])
def test_a_bad_canary_is_taken_back(
    fault: str,
    http: httpx.Client,
    admin: httpx.Client,
    adapters: Path,
    words: dict[str, Path],
    tmp_path: Path,
    server: Any,
    figures: list[str],
) -> None:
    """From its folder to the rollback by itself; afterwards nobody meets it, and none fails."""
    steps = '[rollout]\nsteps = ["10:1h", "100"]\n'
    canary_folder = variant(
        tmp_path / fault,
        words["red"],
        tokens=60 if fault == "endless" else 1,
        more=steps,
        template=BROKEN_TEMPLATE if fault == "failing" else None,
    )
    kept = serve(admin, adapters, variant(tmp_path / "kept", words["blue"]))
    ended_before = metric(server.url, "lorabay_rollouts_ended_total", outcome="rolled_back")
    put(adapters, NAME, canary_folder)
    eventually(lambda: admin.get(ADAPTER).json()["canary"] is not None, "the canary is there")
    assert live(admin) == kept

    canary = str(admin.get(ADAPTER).json()["canary"]).partition("@")[2]
    begun, answers = time.monotonic(), list[Answer]()
    while admin.get(ROLLOUT).json()["status"] == "running":
        assert time.monotonic() - begun < 10 * SLOW_BACK_S
        answers += crowd(http, CROWD, CROWD)
    report = admin.get(ROLLOUT).json()
    bad = [answer for answer in answers if answer.version == canary or answer.status != 200]
    seconds = max(answer.ended_at for answer in bad) - begun

    assert report["status"] == "rolled_back"
    assert len(bad) <= MANY_BAD or seconds <= SLOW_BACK_S
    after = crowd(http, CROWD, CROWD)
    assert {answer.status for answer in after} == {200}
    assert {answer.version for answer in after} == {kept.partition("@")[2]}
    assert admin.get(ADAPTER).json()["rolled_back"]
    events = admin.get("/admin/events?count=50").json()["events"]
    assert report["reason"] in [event["result"] for event in events]
    ended = metric(server.url, "lorabay_rollouts_ended_total", outcome="rolled_back")
    assert ended == ended_before + 1
    figures.append(
        f"a canary that is {fault}: taken back after {len(bad)} of its answers, {seconds:.1f} s; "
        f"0 of {len(after)} failed afterwards ({report['reason']})"
    )
