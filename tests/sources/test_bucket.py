"""Adapters in a bucket: in obstore's memory, and on rclone's real S3 server over good and bad
links.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import obstore
import pytest
from obstore.store import MemoryStore

from lorabay.sources.bucket import Bucket
from lorabay.sources.clouds import open_store
from lorabay.sources.interface import Changed, SourceError
from lorabay.sources.manifest import MANIFEST_FILE, manifest_of
from lorabay.sources.offers import SourceLimits
from lorabay.sources.pace import Pace
from tests.fixtures.buckets import BUCKET, SLOW_DOWN, Link, S3Server
from tests.sources.made import CONFIG, WEIGHTS, content_of, delete, put


@pytest.fixture
def memory() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def prefix(request: pytest.FixtureRequest, s3_server: S3Server) -> str:
    """A place in the real bucket that no other test uses."""
    return str(request.node.name)


async def fetched(bucket: Bucket, name: str, into: Path) -> Path:
    """An adapter, fetched as it is listed now."""
    into.mkdir()
    await bucket.fetch((await bucket.list()).offers[name], into, Pace())
    return into


async def test_adapters_are_listed_and_fetched(memory: MemoryStore, tmp_path: Path) -> None:
    """Files that lie deeper, or beside the adapters, are none."""
    put(memory, "finance", "1")
    put(memory, "finance/checkpoint-5", "0")
    put(memory, "ads", "1", CONFIG)
    obstore.put(memory, "README.md", b"hello")
    listing = await Bucket("s3://b/", memory).list()
    assert list(listing.offers) == ["finance"]
    assert listing.refused == {"ads": f"there is no {WEIGHTS}"}
    folder = await fetched(Bucket("s3://b/", memory), "finance", tmp_path / "into")
    assert content_of(folder) == {"1"}
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


async def test_an_object_that_changed_since_the_list_is_not_taken(
    memory: MemoryStore, tmp_path: Path
) -> None:
    """The condition goes with the request."""
    put(memory, "finance", "1")
    bucket = Bucket("s3://b/", memory)
    offer = (await bucket.list()).offers["finance"]
    put(memory, "finance", "2", WEIGHTS)
    with pytest.raises(Changed):
        await bucket.fetch(offer, tmp_path, Pace())


async def test_a_bucket_full_of_other_things_is_refused(memory: MemoryStore) -> None:
    """A prefix that holds a training run would make every poll dear."""
    for number in range(25):
        obstore.put(memory, f"run/checkpoint-{number}/optimizer.pt", b"")
    with pytest.raises(SourceError, match="more than 20 objects"):
        await Bucket("s3://b/", memory, SourceLimits(adapters=1)).list()


def push(store: MemoryStore, name: str, content: str, folder: Path) -> None:
    """Upload an adapter and its manifest."""
    folder.mkdir(exist_ok=True)
    for file in (CONFIG, WEIGHTS):
        (folder / file).write_text(f"{content} {file}")
    put(store, name, content)
    text = manifest_of(folder, (CONFIG, WEIGHTS)).text()
    obstore.put(store, f"{name}/{MANIFEST_FILE}", text.encode())


async def test_a_manifest_seals_an_adapter(memory: MemoryStore, tmp_path: Path) -> None:
    """It is the newest object; the adapter need not be watched, and the manifest does not come."""
    push(memory, "finance", "1", tmp_path / "made")
    bucket = Bucket("s3://b/", memory)
    assert (await bucket.list()).offers["finance"].sealed
    folder = await fetched(bucket, "finance", tmp_path / "into")
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


async def test_files_that_are_not_the_manifests_are_refused(
    memory: MemoryStore, tmp_path: Path
) -> None:
    """Half of the next upload lies under the former manifest."""
    push(memory, "finance", "1", tmp_path / "made")
    put(memory, "finance", "2", WEIGHTS)
    bucket = Bucket("s3://b/", memory)
    assert not (await bucket.list()).offers["finance"].sealed
    with pytest.raises(SourceError, match="digest sha256"):
        await fetched(bucket, "finance", tmp_path / "into")


async def test_a_manifest_that_names_more_than_there_is(
    memory: MemoryStore, tmp_path: Path
) -> None:
    """An object of a pushed adapter was deleted."""
    push(memory, "finance", "1", tmp_path / "made")
    manifest = json.loads((manifest_of(tmp_path / "made", (CONFIG, WEIGHTS))).text())
    manifest["files"]["chat_template.jinja"] = {"size": 1, "sha256": "0" * 64}
    obstore.put(memory, f"finance/{MANIFEST_FILE}", json.dumps(manifest).encode())
    with pytest.raises(SourceError, match=r"chat_template\.jinja is not what .* says"):
        await fetched(Bucket("s3://b/", memory), "finance", tmp_path / "into")


async def test_a_real_bucket(
    s3_server: S3Server, prefix: str, s3_environment: Mapping[str, Any], tmp_path: Path
) -> None:
    """Credentials and address come from the environment; nothing but the URL is said."""
    store = s3_server.store(prefix)
    put(store, "finance", "1")
    bucket = Bucket("s3://b/", open_store(f"s3://{BUCKET}/{prefix}"))
    first = (await bucket.list()).offers["finance"]
    assert content_of(await fetched(bucket, "finance", tmp_path / "into")) == {"1"}
    assert (await bucket.list()).offers["finance"].marks == first.marks

    put(store, "finance", "2")
    with pytest.raises(Changed):
        await bucket.fetch(first, tmp_path, Pace())
    delete(store, "finance")
    assert (await bucket.list()).is_empty


async def test_a_thousand_adapters_are_few_requests(
    s3_server: S3Server, s3_link: Link, prefix: str, tmp_path: Path, figures: list[str]
) -> None:
    """An idle poll of a bucket costs at most five requests for each thousand adapters."""
    store = s3_server.store(prefix)
    for number in range(1000):
        folder = tmp_path / f"a{number}"
        folder.mkdir()
    names = [f"a{number}" for number in range(1000)]
    for name in names:
        for file in (CONFIG, WEIGHTS, MANIFEST_FILE, "lorabay.toml"):
            await obstore.put_async(store, f"{name}/{file}", b"{}")
    bucket = linked(s3_server, s3_link, prefix)
    assert len((await bucket.list()).offers) == 1000
    assert len(s3_link.requests) <= 5
    figures.append(f"requests of an idle poll of 1,000 adapters: {len(s3_link.requests)}")


def linked(server: S3Server, link: Link, prefix: str, **changes: str) -> Bucket:
    """The bucket behind a link."""
    environment = {**server.environment(link.port), **changes}
    return Bucket(f"s3://{BUCKET}/{prefix}", opened(f"s3://{BUCKET}/{prefix}", environment))


def opened(url: str, environment: Mapping[str, str]) -> Any:
    """The bucket as a process with these variables opens it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        return open_store(url)


async def test_a_wrong_secret_is_one_sentence(
    s3_server: S3Server, s3_link: Link, prefix: str
) -> None:
    """It says what was refused and where to look, and does not repeat the secret."""
    bucket = linked(s3_server, s3_link, prefix, AWS_SECRET_ACCESS_KEY="wrong-secret")
    with pytest.raises(SourceError) as refused:
        await bucket.list()
    assert "SignatureDoesNotMatch" in refused.value.message
    assert "AWS_SECRET_ACCESS_KEY" in refused.value.message
    assert "clock" in refused.value.message
    assert "wrong-secret" not in refused.value.message
    assert "\n" not in refused.value.message
    # It is not asked over and over.
    assert len(s3_link.requests) == 1


async def test_a_bucket_that_does_not_exist(s3_server: S3Server, s3_link: Link) -> None:
    """Another name than one that is empty."""
    environment = s3_server.environment(s3_link.port)
    bucket = Bucket("s3://nowhere/", opened("s3://nowhere/", environment))
    with pytest.raises(SourceError, match="does not exist"):
        await bucket.list()


async def test_a_bucket_that_throttles(s3_server: S3Server, s3_link: Link, prefix: str) -> None:
    """After a few tries it is left alone, with a sentence."""
    s3_link.refuses = SLOW_DOWN
    with pytest.raises(SourceError, match="asks for fewer requests"):
        await linked(s3_server, s3_link, prefix).list()
    assert 1 < len(s3_link.requests) <= 4


async def test_a_bucket_that_is_not_there(s3_server: S3Server, s3_link: Link, prefix: str) -> None:
    """Nobody listens: the reason is the same text each time."""
    bucket = linked(s3_server, s3_link, prefix)
    s3_link.close()
    messages = set()
    for _ in range(2):
        with pytest.raises(SourceError) as away:
            await bucket.list()
        messages.add(away.value.message)
    assert len(messages) == 1
    assert "does not answer" in messages.pop()


async def test_a_connection_that_is_lost_half_way(
    s3_server: S3Server, s3_link: Link, prefix: str, tmp_path: Path
) -> None:
    """What came of a file is not an adapter; when the link is good again, it is fetched whole."""
    store = s3_server.store(prefix)
    put(store, "finance", "1" * 300_000)
    bucket = linked(s3_server, s3_link, prefix)
    offer = (await bucket.list()).offers["finance"]
    s3_link.cut_after = 100_000
    with pytest.raises((SourceError, Changed)):
        await bucket.fetch(offer, tmp_path, Pace())
    s3_link.cut_after = None
    folder = await fetched(linked(s3_server, s3_link, prefix), "finance", tmp_path / "again")
    assert content_of(folder) == {"1" * 300_000}


async def test_a_list_of_what_is_gone(
    s3_server: S3Server, s3_link: Link, prefix: str, tmp_path: Path
) -> None:
    """The reason names the object."""
    store = s3_server.store(prefix)
    put(store, "finance", "1")
    bucket = linked(s3_server, s3_link, prefix)
    offer = (await bucket.list()).offers["finance"]
    delete(store, "finance")
    with pytest.raises(SourceError, match=r"finance/adapter_config\.json is listed, and is not"):
        await bucket.fetch(offer, tmp_path, Pace())
