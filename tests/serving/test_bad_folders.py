"""Every kind of bad folder, through a real server but for its engine: its reason is shown, and
nobody else notices.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from lorabay.catalog.versions import Version
from lorabay.files import adapter_folder as folder_module
from lorabay.files.adapter_folder import WEIGHTS_FILE
from tests import bad_folders
from tests.bad_folders import BAD_FOLDERS
from tests.serving.bay import Bay
from tests.serving.mortal_engine import MortalEngine
from tests.serving.test_manager import Server

NOBODY = 65534


@pytest.fixture
async def server(bay: Bay) -> AsyncIterator[Server]:
    """Serves `good` and `ads`."""
    engine = MortalEngine()
    server = Server(bay, engine, bay.manager(engine))
    await server.manager.start()
    await bay.serve("good", 1)
    await bay.serve("ads", 2)
    yield server
    await server.manager.stop()


async def still_answer(server: Server, *names: str) -> None:
    """The adapters that were live answer with the weights that they had, and the base answers."""
    for name in names:
        version = await server.ask(name)
        assert version == server.bay.version(name, {"good": 1, "ads": 2}[name])
    assert await server.ask("tiny") is None


def put_spoiled(server: Server, name: str, spoil: bad_folders.Spoil) -> None:
    """Spoil a folder, then rename it into place."""
    fresh = server.bay.make(3)
    spoil(fresh)
    server.bay.take_away(name)
    fresh.rename(server.bay.root / name)


def codes(server: Server, name: str) -> set[str]:
    assert server.bay.state(name) == "rejected"
    return {reason.code for reason in server.bay.status(name).reasons}


@pytest.mark.parametrize(("spoil", "wanted"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
async def test_a_bad_folder_disturbs_nobody(
    server: Server, spoil: bad_folders.Spoil, wanted: set[str]
) -> None:
    """Under a new name it is not served; under a live one what was live stays; the engine never
    sees a byte of it.
    """
    loads = list(server.engine.steps)
    for name in ("new", "ads"):
        put_spoiled(server, name, spoil)
    await server.bay.look()
    assert codes(server, "new") == codes(server, "ads") == wanted
    assert server.bay.live("new") is None
    await still_answer(server, "good", "ads")
    assert server.engine.steps == loads
    assert server.engine.up


BAD_NAMES = {
    "a:b": "name_characters",
    "a b": "name_characters",
    "@": "name_characters",
    "ad\u200bs": "name_characters",
    "аds": "name_characters",
    "ads\u0301": "name_characters",
    "%2e%2e": "name_characters",
    "a\\b": "name_characters",
    "a\nb": "name_characters",
    "x" * 255: "name_too_long",
    "tiny": "name_reserved",
    "TINY": "name_reserved",
    "base": "name_reserved",
    "ADS": "name_case",
}


@pytest.mark.parametrize(("name", "code"), BAD_NAMES.items(), ids=map(ascii, BAD_NAMES))
async def test_a_bad_name_disturbs_nobody(server: Server, name: str, code: str) -> None:
    """Separators, look-alikes, names too long, the base's, and those that differ from a live one in
    case alone.
    """
    server.bay.put(name, 3)
    await server.bay.look()
    assert code in codes(server, name)
    await still_answer(server, "good", "ads")


async def test_a_name_of_300_characters_cannot_even_be_a_folder(server: Server) -> None:
    """The file system refuses it; as the name of an admin's load it is refused with its length."""
    with pytest.raises(OSError, match="too long"):
        (server.bay.root / ("x" * 300)).mkdir()
    await still_answer(server, "good", "ads")


async def test_a_linked_folder_that_leaves_the_root_disturbs_nobody(server: Server) -> None:
    """Under a live name it is no removal either."""
    outside = server.bay.make(3)
    server.bay.take_away("ads")
    for name in ("new", "ads"):
        (server.bay.root / name).symlink_to(outside)
    await server.bay.look()
    assert codes(server, "new") == codes(server, "ads") == {"link_outside"}
    await still_answer(server, "good", "ads")


async def test_a_folder_without_read_permission_disturbs_nobody(
    server: Server, tmp_path: Path
) -> None:
    """Neither the folder's nor its files'."""
    for name in ("new", "ads"):
        server.bay.put(name, 3)
    (server.bay.root / "new").chmod(0)
    (server.bay.root / "ads" / WEIGHTS_FILE).chmod(0)
    with as_nobody(server.bay.folder):
        await server.bay.look()
    (server.bay.root / "new").chmod(0o755)
    assert codes(server, "new") == codes(server, "ads") == {"unreadable"}
    await still_answer(server, "good", "ads")


@contextmanager
def as_nobody(folder: Path) -> Iterator[None]:
    """Be a user who owns the store below `folder`, but not the adapters: root may read
    everything.
    """
    if os.geteuid() != 0:
        yield
        return
    for path in (folder / "store", *(folder / "store").rglob("*")):
        shutil.chown(path, NOBODY)
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def reading(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object], *, of: Path) -> None:
    """Have `act` done to a folder at the first read of one of its files."""
    read_bytes, to_do = folder_module.read_bytes, [act]

    def read_and_act(file: BinaryIO, count: int) -> bytes:
        while to_do:
            to_do.pop()(of)
        return read_bytes(file, count)

    monkeypatch.setattr(folder_module, "read_bytes", read_and_act)


async def test_a_folder_that_vanishes_while_it_is_read_disturbs_nobody(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as if it had never been."""
    server.bay.put("new", 3)
    reading(monkeypatch, shutil.rmtree, of=server.bay.root / "new")
    await server.bay.look()
    assert server.bay.live("new") is None
    await server.bay.look()
    assert "new" not in server.bay.registry.names()
    await still_answer(server, "good", "ads")


async def test_a_live_folder_that_changes_while_it_is_read_is_read_again(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No mixture of two contents is ever live."""
    before = server.bay.live("ads")
    server.bay.put("ads", 3)
    reading(monkeypatch, lambda folder: server.bay.put("ads", 4), of=server.bay.root / "ads")
    await server.bay.look()
    assert server.bay.live("ads") in (before, server.bay.version("ads", 4))
    await server.bay.look()
    assert await server.ask("ads") == server.bay.version("ads", 4)


async def test_a_full_disk_disturbs_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason says what to do, what was live answers, and the folder is served once there is
    room.
    """
    write = Path.open

    def full(path: Path, mode: str = "r", *rest: object, **options: object) -> object:
        if "x" in mode:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, mode, *rest, **options)  # type: ignore[call-overload]

    for name in ("new", "ads"):
        server.bay.put(name, 3)
    monkeypatch.setattr(Path, "open", full)
    await server.bay.look()
    assert codes(server, "new") == codes(server, "ads") == {"store_write"}
    assert "No space left" in server.bay.status("new").reasons[0].text
    await still_answer(server, "good", "ads")
    monkeypatch.undo()
    await server.bay.look()
    assert await server.ask("new") == server.bay.version("new", 3)
    assert await server.ask("ads") == server.bay.version("ads", 3)


async def test_bad_and_good_folders_at_once(server: Server) -> None:
    """Every kind at the same time, and good ones among them: those are served, and quickly."""
    for number, (spoil, _) in enumerate(BAD_FOLDERS.values()):
        put_spoiled(server, f"bad{number}", spoil)
        if number % 10 == 0:
            server.bay.put(f"new{number}", number + 10)
    await server.bay.look()
    states = [server.bay.state(status.name) for status in server.bay.registry.snapshot()]
    assert states.count("rejected") == len(BAD_FOLDERS)
    for number in range(0, len(BAD_FOLDERS), 10):
        assert isinstance(await server.ask(f"new{number}"), Version)
    await still_answer(server, "good", "ads")
