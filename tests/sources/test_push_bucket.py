"""Pushing to a bucket, read by the source that a server has."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from lorabay.sources.bucket import Bucket
from lorabay.sources.interface import SourceError
from lorabay.sources.manifest import MANIFEST_FILE
from lorabay.sources.pace import Pace
from lorabay.sources.push_bucket import PART_BYTES, push_to_bucket
from lorabay.sources.pushed import adapters_in
from tests.fixtures.buckets import S3Server
from tests.sources.made import CONFIG, WEIGHTS, content_of, no_bar, write


def push(store: MemoryStore, folder: Path) -> None:
    push_to_bucket("s3://b", store, adapters_in(folder)[0], no_bar)


async def test_what_is_pushed_is_whole_at_once(tmp_path: Path) -> None:
    """A reader has it after one list, and files that the new version lacks are gone."""
    store = MemoryStore()
    folder = write(tmp_path / "finance", "1")
    (folder / "lorabay.toml").write_text("")
    push(store, folder)
    (folder / "lorabay.toml").unlink()
    push(store, write(folder, "2"))
    offer = (await Bucket("s3://b", store).list()).offers["finance"]
    assert offer.sealed
    assert set(offer.files) == {CONFIG, WEIGHTS, MANIFEST_FILE}
    (tmp_path / "into").mkdir()
    await Bucket("s3://b", store).fetch(offer, tmp_path / "into", Pace())
    assert content_of(tmp_path / "into") == {"2"}


async def test_no_reader_has_half_of_a_push(tmp_path: Path) -> None:
    """After each object of the second push, what is fetched is of one version, or refused."""
    folder = write(tmp_path / "finance", "1")
    seen: set[str] = set()
    objects = {}
    store = MemoryStore()
    push(store, folder)
    finished = MemoryStore()
    push(finished, write(folder, "2"))
    for file in (WEIGHTS, CONFIG, MANIFEST_FILE):
        objects[file] = bytes(obstore.get(finished, f"finance/{file}").bytes())
    for number, (file, content) in enumerate(objects.items()):
        obstore.put(store, f"finance/{file}", content)
        into = tmp_path / f"into{number}"
        into.mkdir()
        bucket = Bucket("s3://b", store)
        try:
            await bucket.fetch((await bucket.list()).offers["finance"], into, Pace())
        except SourceError:
            continue
        assert len(content_of(into)) == 1
        seen |= content_of(into)
    assert seen == {"2"}


async def test_a_large_file_goes_in_parts(
    s3_server: S3Server, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """On a real S3 server; the bar is told of every byte."""
    store = s3_server.store(str(request.node.name))
    folder = write(tmp_path / "finance", "1")
    content = b"1 " + bytes(PART_BYTES + 5000)
    (folder / WEIGHTS).write_bytes(content)
    told: list[int] = []
    push_to_bucket("s3://b", store, adapters_in(folder)[0], lambda text, units: told.append(units))
    assert sum(told) == len(content) + (folder / CONFIG).stat().st_size
    (tmp_path / "into").mkdir()
    bucket = Bucket("s3://b", store)
    await bucket.fetch((await bucket.list()).offers["finance"], tmp_path / "into", Pace())
    assert (tmp_path / "into" / WEIGHTS).read_bytes() == content
