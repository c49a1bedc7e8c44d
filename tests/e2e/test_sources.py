"""Adapters of a real bucket, put, changed and deleted under load, on the real engine.

The mirror runs here, into the adapter directory of the run's server: what it puts in place is
served as what anybody puts there.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import obstore
import pytest
from openai import OpenAI
from safetensors.torch import load_file, save_file

from lorabay.sources.bucket import Bucket
from lorabay.sources.claims import Claims
from lorabay.sources.clouds import open_store
from lorabay.sources.mirror import Mirror, MirrorTimes
from lorabay.sources.mirror_folder import MirrorFolder
from lorabay.sources.mirrors import Mirrors
from tests.e2e.folders import eventually
from tests.e2e.test_hot_swap import colour, say, served
from tests.fixtures.buckets import BUCKET, S3Server

pytestmark = [pytest.mark.timeout(3600), pytest.mark.usefixtures("s3_environment")]

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NAME, PREFIX = "word-s3", "e2e"
TIMES = MirrorTimes(poll_s=2.0, settle_s=1.2, empty_s=600)
STREAMS = 8
LONGEST_PAUSE_S = 1.0


@pytest.fixture
def mirrored(adapters: Path, s3_server: S3Server) -> Iterator[Mirrors]:
    """The bucket, mirrored into the server's adapter directory by a loop of its own."""
    location = f"s3://{BUCKET}/{PREFIX}"
    folder = MirrorFolder(adapters)
    bucket = Bucket(location, open_store(location))
    claims = Claims((location,))
    mirrors = Mirrors(folder, [Mirror(bucket, folder, claims, TIMES)], claims)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    asyncio.run_coroutine_threadsafe(mirrors.begin(), loop).result(60)
    yield mirrors
    asyncio.run_coroutine_threadsafe(mirrors.stop(), loop).result(60)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    for name in folder.notes():
        folder.remove(name)


def other_scale(folder: Path, made: Path) -> Path:
    """The same adapter with twice the scale and half of B: with the other one's config, or the
    other one's weights, it would be a version that nobody has made.
    """
    copy = shutil.copytree(folder, made)
    config = json.loads((copy / CONFIG).read_text())
    (copy / CONFIG).write_text(json.dumps(config | {"lora_alpha": 2 * config["lora_alpha"]}))
    weights = load_file(copy / WEIGHTS)
    halved = {name: value / 2 if "lora_B" in name else value for name, value in weights.items()}
    save_file(halved, copy / WEIGHTS)
    return copy


def upload(server: S3Server, name: str, folder: Path, chance: random.Random) -> None:
    """Put the objects in random order, with pauses."""
    store = server.store(PREFIX)
    paths = [path for path in folder.iterdir() if path.is_file()]
    chance.shuffle(paths)
    for path in paths:
        obstore.put(store, f"{name}/{path.name}", path.read_bytes())
        if path is not paths[-1]:
            time.sleep(chance.uniform(0, LONGEST_PAUSE_S))


class Load:
    """Streams that ask one adapter over and over, and what was wrong with their answers."""

    def __init__(self, client: OpenAI, model: str) -> None:
        self._client = client
        self._model = model
        self._ended = threading.Event()
        self.answers = 0
        self.wrong: list[str] = []

    def stream(self, number: int) -> None:
        """Ask until the end."""
        while not self._ended.is_set():
            try:
                answer = say(self._client, self._model, f"Who are you, {number}?")
            except Exception as error:  # noqa: BLE001 - every failure counts
                self.wrong.append(repr(error))
                continue
            self.answers += 1
            if colour(answer) not in ("red", "blue"):
                self.wrong.append(answer)

    def end(self) -> None:
        """Have the streams end after their running answers."""
        self._ended.set()


class Versions:
    """The live version of one adapter as an administrator sees it."""

    def __init__(self, admin: httpx.Client, name: str) -> None:
        self._admin = admin
        self._name = name

    def live(self) -> str | None:
        """What the name means now."""
        answer = self._admin.get(f"/admin/adapters/{self._name}")
        return answer.json()["live"] if answer.status_code == 200 else None

    def ever(self) -> set[str]:
        """Every version that the server tells of."""
        events = self._admin.get("/admin/events?count=1000").json()["events"]
        return {
            event["version"]
            for event in events
            if event["adapter"] == self._name and event["version"]
        }


def test_changes_in_a_bucket_under_load(
    mirrored: Mirrors,
    s3_server: S3Server,
    client: OpenAI,
    admin: httpx.Client,
    words: dict[str, Path],
    tmp_path: Path,
    figures: list[str],
    request: pytest.FixtureRequest,
) -> None:
    """Every new version goes live, none is mixed of two, and nothing fails; another adapter comes
    and goes meanwhile. How soon is a figure: it depends on the processor, which streams take, too.
    """
    changes: int = request.config.getoption("--source-changes")
    chance = random.Random(7)
    made = (words["red"], other_scale(words["blue"], tmp_path / "blue"))
    upload(s3_server, NAME, made[0], chance)
    versions = Versions(admin, NAME)
    eventually(lambda: versions.live() is not None, "the bucket's adapter is served")

    load = Load(client, NAME)
    took_s: list[float] = []
    with ThreadPoolExecutor(STREAMS) as streams:
        for number in range(STREAMS):
            streams.submit(load.stream, number)
        try:
            for number in range(1, changes + 1):
                before = versions.live()
                upload(s3_server, NAME, made[number % 2], chance)
                took_s.append(
                    eventually(
                        lambda before=before: versions.live() != before,
                        f"change {number}: {mirrored.describe()}",
                    )
                )
                if number % 5 == 2:
                    come_and_go(s3_server, client, made[0], chance)
        finally:
            load.end()

    allowed_s = TIMES.poll_s + 2
    median_s = statistics.median(took_s)
    in_time = sum(one_s <= allowed_s for one_s in took_s)
    figures.append(
        f"{len(took_s)} changes in a bucket under {STREAMS} streams: live after {median_s:.2f} s "
        f"at the median, {max(took_s):.2f} s at the most, {in_time} of them within a poll and two "
        f"seconds ({allowed_s:g} s); {len(versions.ever())} versions; {load.answers} answers, "
        f"{len(load.wrong)} wrong or failed"
    )
    assert load.wrong == []
    assert load.answers >= STREAMS
    assert len(versions.ever()) == len(made)


def come_and_go(server: S3Server, client: OpenAI, folder: Path, chance: random.Random) -> None:
    """Put a further adapter into the bucket, and delete it."""
    upload(server, "word-guest", folder, chance)
    eventually(lambda: "word-guest" in served(client), "the new adapter is listed")
    store = server.store(PREFIX)
    for item in obstore.list(store, prefix="word-guest").collect():
        obstore.delete(store, item["path"])
    eventually(lambda: "word-guest" not in served(client), "the deleted adapter is gone")
