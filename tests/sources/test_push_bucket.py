"""Pushing to a bucket, read by the source that a server has."""

from __future__ import annotations

from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore

from lorabay.errors import SetupError
from lorabay.sources.bucket import Bucket
from lorabay.sources.interface import SourceError
from lorabay.sources.manifest import MANIFEST_FILE
from lorabay.sources.pace import Pace
from lorabay.sources.push_bucket import PART_BYTES, push_to_bucket
from lorabay.sources.pushed import adapters_in
from tests.fixtures.buckets import S3Server
from tests.sources.made import CONFIG, WEIGHTS, content_of, no_bar, put, write


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


@pytest.mark.parametrize("was_cut_off", [False, True])
def test_an_adapter_over_a_whole_model(tmp_path: Path, *, was_cut_off: bool) -> None:
    """Bug: its weights, gigabytes of them, were left. What is nobody's stays."""
    store = MemoryStore()
    weights = ["model.safetensors.index.json", *(f"model-0000{n}-of-2.safetensors" for n in "12")]
    put(store, "finance", "1", "config.json", "tokenizer.json", *weights)
    put(store, "finance", "1", "README.md", "checkpoint-1/model.safetensors")
    if was_cut_off:
        put(store, "finance", "2", WEIGHTS, CONFIG)
        for left in ("config.json", "tokenizer.json", weights[0]):
            obstore.delete(store, f"finance/{left}")
    push(store, write(tmp_path / "finance", "2"))
    left = {item["path"] for item in obstore.list(store, prefix="finance").collect()}
    files = (CONFIG, WEIGHTS, MANIFEST_FILE, "README.md", "checkpoint-1/model.safetensors")
    assert left == {f"finance/{file}" for file in files}


def test_a_whole_model_over_an_adapter(tmp_path: Path) -> None:
    """Nothing of the adapter is left."""
    store = MemoryStore()
    put(store, "finance", "1")
    (tmp_path / "finance").mkdir()
    for file in ("config.json", "model.safetensors"):
        (tmp_path / "finance" / file).write_text("2")
    push(store, tmp_path / "finance")
    left = {item["path"] for item in obstore.list(store, prefix="finance").collect()}
    assert left == {f"finance/{one}" for one in ("config.json", "model.safetensors", MANIFEST_FILE)}


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_that_cannot_be_read(tmp_path: Path, *, is_there: bool) -> None:
    """Bug: it was a bug of lorabay's, or the bucket's credentials were to blame."""
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    (tmp_path / "finance" / WEIGHTS).unlink()
    if is_there:
        (tmp_path / "finance" / WEIGHTS).symlink_to(WEIGHTS)
    with pytest.raises(SetupError, match=f"finance/{WEIGHTS} cannot be read: ") as refused:
        push_to_bucket("s3://b", MemoryStore(), adapter, no_bar)
    assert refused.value.exit_code == 1


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_a_file_that_vanishes_while_it_is_pushed(tmp_path: Path, size: int) -> None:
    """After its digest was taken, in one request and in parts."""
    adapter = adapters_in(write(tmp_path / "finance", "1"))[0]
    (tmp_path / "finance" / CONFIG).write_bytes(bytes(size))

    def advance(text: str, units: int) -> None:
        (tmp_path / "finance" / CONFIG).unlink(missing_ok=True)

    with pytest.raises(SetupError, match=f"finance/{CONFIG} cannot be read: No such file"):
        push_to_bucket("s3://b", MemoryStore(), adapter, advance)


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
