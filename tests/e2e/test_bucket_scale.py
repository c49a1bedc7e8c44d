"""A bucket of many adapters: its first mirror beside the bare link, and starts without it.

Runs with `--bucket-adapters 1000`. No engine comes up: a server has read its adapters before it
shows them, and starts its engine after that.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import obstore
import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.bench.synthetic_adapters import RandomAdapters
from tests.e2e.conftest import ADMIN_KEY
from tests.e2e.server import PATIENCE_S, START_S, Server
from tests.fixtures.buckets import BUCKET, S3Server

pytestmark = [pytest.mark.timeout(1800), pytest.mark.usefixtures("s3_environment")]

PREFIX = "many"
LOCATION = f"s3://{BUCKET}/{PREFIX}"
RANK, SIZE_BYTES = 8, 1_000_000
CONNECTIONS = 4
"""The downloads that a mirror has at once."""
STARTS = 3


@pytest.fixture(scope="module")
def made(
    base_folder: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    """So many adapters in a folder."""
    folder = tmp_path_factory.mktemp("many")
    kind = RandomAdapters.about(BaseShapes.read(base_folder), RANK, SIZE_BYTES)
    for number in range(request.config.getoption("--bucket-adapters")):
        kind.write(folder / f"adapter-{number:04}", number)
    return folder


@pytest.fixture(scope="module")
def filled(made: Path, s3_server: S3Server) -> S3Server:
    """The bucket, with all of them."""
    store = s3_server.store(PREFIX)
    for path in made.glob("*/*"):
        obstore.put(store, f"{path.parent.name}/{path.name}", path)
    return s3_server


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("bucket-scale")
    yield folder
    shutil.rmtree(folder)


def serving(adapters: str, base: Path, store: Path) -> Server:
    """A server that has begun to start."""
    flags = ("--base", str(base), "--adapters", adapters, "--store", str(store))
    return Server([*flags, "--admin-key", ADMIN_KEY], log=store.with_suffix(".log"))


def reading(server: Server) -> tuple[float, int]:
    """The seconds until a server that starts has read its adapters, and how many it has."""
    url = f"{server.url}/admin/adapters"
    headers = {"authorization": f"Bearer {ADMIN_KEY}"}
    while (answer := httpx.get(url, headers=headers, timeout=PATIENCE_S)).status_code != 200:
        assert server.age_s < START_S
        time.sleep(0.02)
    return server.age_s, len(answer.json()["adapters"])


async def download(server: S3Server, into: Path) -> int:
    """Read every object and write it down, so many at once; return the bytes."""
    store = server.store(PREFIX)
    room = asyncio.Semaphore(CONNECTIONS)

    async def one(key: str) -> int:
        async with room:
            content = await (await obstore.get_async(store, key)).bytes_async()
            await asyncio.to_thread((into / key.replace("/", "-")).write_bytes, content)
            return len(content)

    keys = [one["path"] for part in obstore.list(store) for one in part]
    return sum(await asyncio.gather(*(one(key) for key in keys)))


def test_a_first_mirror_is_as_fast_as_its_link(
    filled: S3Server, made: Path, base_folder: Path, work: Path, figures: list[str]
) -> None:
    """All are mirrored and accepted before the server listens."""
    adapters = len(list(made.iterdir()))
    (work / "bare").mkdir()
    began = time.monotonic()
    count = asyncio.run(download(filled, work / "bare"))
    bare_s = time.monotonic() - began

    with serving(str(made), base_folder, work / "first-of-folder") as server:
        folder_s, found = reading(server)
        assert found == adapters
    with serving(LOCATION, base_folder, work / "of-bucket") as server:
        bucket_s, found = reading(server)
        assert found == adapters
    mirrored_s = bucket_s - folder_s
    figures.append(
        f"bucket: {adapters} adapters, {count / 1e6:.0f} MB: first mirror {mirrored_s:.1f} s more "
        f"than a folder ({folder_s:.1f} s); bare downloads {bare_s:.1f} s"
    )
    assert mirrored_s <= 2 * bare_s


def test_a_start_without_the_bucket(
    filled: S3Server, made: Path, base_folder: Path, work: Path, figures: list[str]
) -> None:
    """In turns with a folder: at most two seconds more."""
    took: dict[str, list[float]] = {str(made): [], LOCATION: []}
    stores = {str(made): work / "first-of-folder", LOCATION: work / "of-bucket"}
    filled.stop()
    try:
        for _ in range(STARTS):
            for adapters, store in stores.items():
                with serving(adapters, base_folder, store) as server:
                    seconds, found = reading(server)
                    took[adapters].append(seconds)
                    assert found == len(list(made.iterdir()))
    finally:
        filled.start()
    folder_s, bucket_s = map(statistics.median, took.values())
    figures.append(f"bucket: start {bucket_s:.1f} s without it, {folder_s:.1f} s with a folder")
    assert bucket_s <= folder_s + 2
