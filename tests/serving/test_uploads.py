"""Adapters that somebody sends, on a real directory: served, or refused without a trace."""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    RequestTooLarge,
    StorageUnavailable,
)
from lorabay.reconcile.events import Actor
from lorabay.rollout.policy import read_policy
from lorabay.serving.admin import Operations
from lorabay.serving.uploads import FolderUploads, NoUploads, Upload
from lorabay.sources.uploads.upload_folder import UploadFolder
from tests.faulty_disk import FaultyDisk
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.sources.uploads.packed import adapter_files, as_tar, as_tar_gz, as_zip, below
from tests.virtual_time import quiet

WHO = Actor("admin", "request-7")
MOST = 1 << 20


class Left(Exception):
    """Whoever sends has gone."""


@dataclass
class Counter:
    """Where adapters are handed in, over a running server."""

    bay: Bay
    uploads: FolderUploads
    files: dict[str, bytes]
    operations: Operations

    async def send(
        self, name: str, content: bytes, *, pieces: int = 3, seen: str | None = None
    ) -> dict[str, object]:
        """Send an archive in some pieces."""
        pieces_of_it = cut(content, pieces)
        return await self.uploads.add(Upload(name, pieces_of_it, len(content), seen), WHO)

    def live(self, name: str) -> str:
        """Return the version that is live; nothing if none is."""
        version = self.bay.live(name)
        return version.id if version else ""

    def left(self) -> set[str]:
        """Return what the adapter directory holds, hidden or not."""
        return {path.name for path in self.bay.root.iterdir()}


async def cut(content: bytes, pieces: int) -> AsyncIterator[bytes]:
    step = max(1, len(content) // pieces)
    for start in range(0, len(content), step):
        await asyncio.sleep(0)
        yield content[start : start + step]


@pytest.fixture
async def counter(tmp_path: Path, shapes: BaseShapes) -> AsyncIterator[Counter]:
    bay = Bay(tmp_path, shapes)
    manager = bay.manager(MortalEngine())
    await manager.start()
    await bay.serve("ads", 1)
    await quiet()
    operations = Operations(manager, bay.reconciler)
    uploads = FolderUploads(UploadFolder(bay.root), operations, MOST)
    yield Counter(bay, uploads, adapter_files(tmp_path / "made"), operations)
    await manager.stop()
    bay.store.close()


@pytest.mark.parametrize("pack", [as_tar, as_tar_gz, as_zip])
async def test_an_adapter_is_served_as_if_its_folder_had_been_copied(
    counter: Counter, pack: object
) -> None:
    """Under the name that it was sent to, whatever its folder was called; the log says who sent
    it.
    """
    assert callable(pack)
    content = pack(below("some-run", counter.files | {"optimizer.pt": b"x"}))
    told = await counter.send("finance", content)
    live = counter.bay.live("finance")
    assert live is not None
    assert told == {"name": "finance", "version": live.id, "state": "ready", "left_out": 1}
    assert counter.left() == {"ads", "finance"}
    held = {path.name: path.read_bytes() for path in (counter.bay.root / "finance").iterdir()}
    assert held == counter.files
    [sent] = [event for event in counter.bay.events.latest() if event.what == "uploaded"]
    assert (sent.who, sent.adapter, sent.version, sent.result) == (
        "admin",
        "finance",
        live.id,
        "ok",
    )


async def test_every_reason_is_told_and_nothing_is_kept(counter: Counter) -> None:
    """As `lorabay check` tells them."""
    config = json.loads(counter.files["adapter_config.json"])
    config |= {"r": 64, "bias": "all"}
    files = counter.files | {"adapter_config.json": json.dumps(config).encode()}
    with pytest.raises(AdapterRejected) as caught:
        await counter.send("finance", as_tar(files))
    assert len(caught.value.reasons) == len(caught.value.codes) > 1
    assert "rank" in caught.value.codes
    assert counter.left() == {"ads"}
    assert counter.bay.live("finance") is None
    newest = counter.bay.events.latest()[0]
    assert (newest.what, newest.adapter) == ("uploaded", "finance")
    assert newest.result == caught.value.message


@pytest.mark.parametrize("name", ["ads", "ADS"])
async def test_a_name_that_is_taken_is_refused(counter: Counter, name: str) -> None:
    """Before anything is received."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    before = counter.bay.live("ads")
    with pytest.raises((AdapterConflict, AdapterRejected)):
        await counter.uploads.add(Upload(name, unread()), WHO)
    assert counter.bay.live("ads") is before


async def test_a_new_version_takes_the_place_of_the_live_one(
    counter: Counter, tmp_path: Path
) -> None:
    """At once; what people have put beside the weights stays, and the former version is kept."""
    ads = counter.bay.root / "ads"
    (ads / "README.md").write_text("about ads")
    (ads / "data").mkdir()
    (ads / "data" / "train.jsonl").write_text("{}")
    before = counter.live("ads")
    told = await counter.send("ads", as_tar(counter.files), seen=before)
    assert told["version"] == counter.live("ads") != before
    status = counter.bay.registry.status("ads")
    assert status is not None
    assert [version.id for version in status.kept] == [counter.live("ads"), before]
    assert counter.left() == {"ads"}
    assert {path.name for path in ads.iterdir()} == {*counter.files, "README.md", "data"}
    assert (ads / "data" / "train.jsonl").read_text() == "{}"
    for name, content in counter.files.items():
        assert (ads / name).read_bytes() == content


async def test_of_two_who_send_a_new_version_the_second_is_told(counter: Counter) -> None:
    """What is live by then; and nothing of theirs is received."""

    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    both_saw = counter.live("ads")
    await counter.send("ads", as_tar(counter.files), seen=both_saw)
    first = counter.live("ads")
    with pytest.raises(AdapterConflict, match=f"{first} is live now"):
        await counter.uploads.add(Upload("ads", unread(), seen=both_saw), WHO)
    assert counter.live("ads") == first


async def test_what_changes_while_a_version_is_received_stays(counter: Counter) -> None:
    """Whoever sends has not seen it."""

    async def slow() -> AsyncIterator[bytes]:
        content = as_tar(counter.files)
        yield content[:2000]
        (counter.bay.root / "ads" / "chat_template.jinja").write_text("{{ messages }}")
        yield content[2000:]

    before = counter.live("ads")
    with pytest.raises(AdapterConflict, match="while the upload was received"):
        await counter.uploads.add(Upload("ads", slow(), seen=before), WHO)
    assert (counter.bay.root / "ads" / "chat_template.jinja").exists()
    assert counter.left() == {"ads"}


async def test_a_version_that_cannot_be_served_replaces_nothing(counter: Counter) -> None:
    """Not in the folder, either."""
    before, held = counter.live("ads"), sorted((counter.bay.root / "ads").iterdir())
    config = json.loads(counter.files["adapter_config.json"]) | {"r": 64}
    files = counter.files | {"adapter_config.json": json.dumps(config).encode()}
    with pytest.raises(AdapterRejected):
        await counter.send("ads", as_tar(files), seen=before)
    assert counter.live("ads") == before
    assert sorted((counter.bay.root / "ads").iterdir()) == held
    assert counter.left() == {"ads"}


async def test_a_folder_that_is_refused_can_be_mended(counter: Counter) -> None:
    """None of its versions is live, and that is what was seen."""
    (counter.bay.root / "broken").mkdir()
    (counter.bay.root / "broken" / "adapter_config.json").write_text("{}")
    await counter.bay.reconciler.reconcile()
    with pytest.raises(AdapterConflict, match="none is live now"):
        await counter.send("broken", as_tar(counter.files), seen="broken@3f9c1a2b4d5e")
    told = await counter.send("broken", as_tar(counter.files), seen="")
    assert told["version"] == counter.live("broken")


async def test_nothing_overtakes_a_rollout_unseen(counter: Counter) -> None:
    """It is ended first, by somebody who looks at it."""
    former = counter.live("ads")
    await counter.send("ads", as_tar(counter.files), seen=former)
    newest = counter.live("ads")
    operations = counter.operations
    await operations.roll_back("ads", None, WHO)
    await operations.start_rollout("ads", None, read_policy({"steps": ["50"]}), WHO)
    with pytest.raises(AdapterConflict, match=f"a rollout of {newest} runs"):
        await counter.send("ads", as_tar(counter.files), seen=former)


@pytest.mark.parametrize("name", ["..", ".hidden", "a b", "base", "x" * 65, "finance.old"])
async def test_a_name_that_no_folder_may_have_is_refused(counter: Counter, name: str) -> None:
    """With the reasons against it."""
    with pytest.raises(AdapterRejected) as caught:
        await counter.send(name, as_tar(counter.files))
    assert {code.partition("_")[0] for code in caught.value.codes} <= {"name", "backup"}
    assert counter.left() == {"ads"}


async def test_what_is_too_large_is_refused_as_soon_as_it_is_known(counter: Counter) -> None:
    """By what is announced, or else by what has come."""
    with pytest.raises(RequestTooLarge, match="upload_mib"):
        await counter.uploads.add(Upload("finance", cut(b"", 1), size=MOST + 1), WHO)
    with pytest.raises(RequestTooLarge, match="upload_mib"):
        await counter.uploads.add(Upload("finance", cut(bytes(2 * MOST), 50)), WHO)
    assert counter.left() == {"ads"}


async def test_what_is_no_archive_leaves_nothing(counter: Counter) -> None:
    """Whatever it is."""
    with pytest.raises(InvalidRequest, match="no archive"):
        await counter.send("finance", b"hello")
    assert counter.left() == {"ads"}


async def test_whoever_leaves_half_way_leaves_nothing(counter: Counter) -> None:
    """And the next one can send at once."""

    async def half() -> AsyncIterator[bytes]:
        yield as_tar(counter.files)[:1000]
        raise Left

    with pytest.raises(Left):
        await counter.uploads.add(Upload("finance", half()), WHO)
    assert counter.left() == {"ads"}
    await counter.send("finance", as_tar(counter.files))


async def test_an_end_of_the_server_leaves_nothing(counter: Counter) -> None:
    """The upload is cut off where it is."""
    has_begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x"
        has_begun.set()
        await asyncio.Event().wait()

    sending = asyncio.create_task(counter.uploads.add(Upload("finance", endless()), WHO))
    await has_begun.wait()
    assert len(counter.left()) == 2
    with pytest.raises(RateLimited, match="try again"):
        await counter.send("other", as_tar(counter.files))

    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert counter.left() == {"ads"}


async def test_a_full_disk_is_told(counter: Counter, disk: FaultyDisk) -> None:
    """As what it is; the adapters that are served stay."""
    disk.fail(counter.bay.root / "finance", errno.ENOSPC)
    disk.fail(counter.bay.root, errno.ENOSPC)
    with pytest.raises(StorageUnavailable, match="too little room"):
        await counter.send("finance", as_tar(counter.files))
    disk.mend()
    assert counter.left() == {"ads"}
    assert counter.bay.live("ads") is not None


async def test_a_server_that_takes_none_says_why() -> None:
    """To whoever asks, and to whoever sends."""
    uploads = NoUploads("start it with --upload-mib N")
    assert uploads.describe() == {
        "on": False,
        "most_bytes": None,
        "reason": "start it with --upload-mib N",
    }
    with pytest.raises(PermissionDenied, match="--upload-mib"):
        await uploads.add(Upload("finance", cut(b"x", 1)), WHO)
