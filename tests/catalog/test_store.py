"""The store is whole, whoever writes, shares, fills or kills it."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lorabay.catalog.admission import validate
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Rollback
from lorabay.catalog.store import RECORDS_KEPT_S, Store
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.reasons import Rejected
from tests import making

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lorabay.catalog.admission import Checks

FINANCE, SHOP = AdapterName("finance"), AdapterName("shop")


def ingest(store: Store, folder: Path, checks: Checks, name: AdapterName = FINANCE) -> Version:
    result = store.ingest(folder, name, checks)
    assert isinstance(result, Version), result
    return result


def adapter(folder: Path, seed: int = 0) -> Path:
    return making.make_adapter(folder, tensors=making.lora_tensors(seed=seed))


def files(root: Path) -> set[str]:
    """Return the files of a store, without its locks and its servers' notes."""
    names = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith("servers/") and name != "lock"}


def test_a_stored_version_is_whole_private_and_found_again(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """`ingest` returns a read-only folder that passes the same checks, and outlives its source and
    a restart.
    """
    source = adapter(tmp_path / "a")
    version = ingest(store, source, checks)
    for file in source.iterdir():
        file.unlink()
    assert validate(version.path, checks) == version.spec
    assert {path.stat().st_mode & 0o777 for path in version.path.iterdir()} == {0o444}
    assert (tmp_path / "store").stat().st_mode & 0o077 == 0
    store.close()
    with Store.open(tmp_path / "store") as later:
        assert later.get(FINANCE, version.digest) == version
        assert later.versions() == (version.spec,)
        assert later.get(FINANCE, Digest("0" * 64)) is None


def test_identical_content_is_stored_once(tmp_path: Path, store: Store, checks: Checks) -> None:
    """Names, the order of tensors, metadata and training fields do not count: two versions share
    one folder.
    """
    tensors = making.lora_tensors()
    shuffled = dict(sorted(tensors.items(), reverse=True))
    first = ingest(store, making.make_adapter(tmp_path / "a", tensors=tensors), checks)
    folder = making.make_adapter(
        tmp_path / "b", config=making.lora_config(lora_dropout=0.5), tensors=shuffled
    )
    making.save(folder / WEIGHTS_FILE, shuffled, {"epoch": "3"})
    second = ingest(store, folder, checks, SHOP)
    assert second.path == first.path
    assert second != first
    assert len(files(tmp_path / "store")) == 3
    other = ingest(store, adapter(tmp_path / "c", seed=1), checks)
    assert other.digest != first.digest
    rescaled = making.make_adapter(
        tmp_path / "d", config=making.lora_config(lora_alpha=16), tensors=tensors
    )
    assert ingest(store, rescaled, checks).digest not in {first.digest, other.digest}


def test_parallel_ingests_do_not_disturb_each_other(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Eight threads, four contents: every call succeeds and four versions exist."""
    folders = [adapter(tmp_path / f"a{number}", seed=number % 4) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        versions = list(pool.map(lambda folder: ingest(store, folder, checks), folders))
    assert len({version.digest for version in versions}) == len(store.versions()) == 4


def test_collect_removes_what_is_not_kept(tmp_path: Path, store: Store, checks: Checks) -> None:
    """Kept versions stay whole, the others leave nothing behind."""
    kept, dropped = (
        ingest(store, adapter(tmp_path / f"a{seed}", seed), checks) for seed in range(2)
    )
    assert store.sweep({kept.digest}) == (dropped.digest,)
    assert store.get(FINANCE, dropped.digest) is None
    assert store.versions() == (kept.spec,)
    assert all(name.startswith(f"versions/{kept.digest}/") for name in files(tmp_path / "store"))


def test_a_sweep_spares_what_another_living_server_holds(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Neither of two servers removes a version that the other ingested or looked up, until that one
    is gone.
    """
    with Store.open(tmp_path / "store") as other:
        version = ingest(other, adapter(tmp_path / "a"), checks)
        assert store.sweep(frozenset()) == ()
        assert store.get(FINANCE, version.digest) == version
        assert other.sweep(frozenset()) == ()
        assert store.sweep(frozenset()) == (version.digest,)
        again = ingest(other, adapter(tmp_path / "b"), checks)
        assert store.sweep(frozenset()) == ()
    assert store.sweep(frozenset()) == (again.digest,)


def test_a_version_that_lost_bytes_is_replaced(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """A damaged version counts as absent, and ingesting the same content heals it."""
    folder = adapter(tmp_path / "a")
    version = ingest(store, folder, checks)
    weights = version.path / WEIGHTS_FILE
    weights.chmod(0o600)
    weights.write_bytes(weights.read_bytes()[:-1])
    assert store.get(FINANCE, version.digest) is None
    assert store.versions() == ()
    assert ingest(store, folder, checks) == version
    assert store.get(FINANCE, version.digest) == version


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Make every write beyond `size` bytes of a file fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 100, 1000, None])
def test_a_full_disk_leaves_nothing_behind(
    tmp_path: Path, store: Store, checks: Checks, room: int | None
) -> None:
    """Wherever the disk fills up, the refusal says so, no part of a version stays, and the next
    attempt works.
    """
    tensors = making.lora_tensors(rank=lambda module: 8 if "v_proj" in module else 4)
    config = making.lora_config(rank_pattern={"v_proj": 8}, lora_alpha=3)
    folder = making.make_adapter(tmp_path / "a", config=config, tensors=tensors)
    just_the_copy = (folder / WEIGHTS_FILE).stat().st_size
    live = ingest(store, adapter(tmp_path / "live", seed=1), checks)
    before = files(tmp_path / "store")
    with files_limited_to(just_the_copy if room is None else room):
        result = store.ingest(folder, FINANCE, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"store_write"}
    assert result.transient
    assert files(tmp_path / "store") == before
    assert store.versions() == (live.spec,)
    assert ingest(store, folder, checks)


def test_what_is_stored_is_found_on_a_full_disk(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """A server starts with its stored versions, and makes room by removing unused ones."""
    old, new = (ingest(store, adapter(tmp_path / f"a{seed}", seed), checks) for seed in range(2))
    store.close()
    with Store.open(tmp_path / "store") as later, files_limited_to(0):
        assert later.records("key").load() == {}
        assert later.get(FINANCE, new.digest) == new
        assert later.sweep({new.digest}) == (old.digest,)
        assert later.versions() == (new.spec,)


@pytest.mark.parametrize("size", [10, 64 << 20])
def test_weights_with_a_broken_header_take_no_room(
    tmp_path: Path, store: Store, checks: Checks, size: int
) -> None:
    """All reasons are reported, none blames the disk, and nothing is copied, however large the
    file is.
    """
    folder = adapter(tmp_path / "a")
    (folder / CONFIG_FILE).write_text("no JSON")
    (folder / WEIGHTS_FILE).write_bytes(b"no header")
    os.truncate(folder / WEIGHTS_FILE, size)
    with files_limited_to(1 << 30), writes_counted() as written:
        result = store.ingest(folder, FINANCE, checks)
    expected = validate(folder, checks)
    assert isinstance(result, Rejected)
    assert result == expected
    assert result.codes == {"config_not_json", "header_too_large"}
    assert written() < 16 << 20


@contextmanager
def writes_counted() -> Iterator[Callable[[], int]]:
    """Yield a function that returns how many bytes this process has written since."""

    def written() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(dict(line.split(": ") for line in lines)["wchar"])

    before = written()
    yield lambda: written() - before


def test_too_little_room_is_reported_before_anything_is_copied(
    tmp_path: Path, store: Store, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason gives figures, and passes: the folder is accepted once the disk has room."""
    folder = adapter(tmp_path / "a")
    size = (folder / WEIGHTS_FILE).stat().st_size
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * size - 1))
    result = store.ingest(folder, FINANCE, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"store_full"}
    assert result.transient
    assert str(2 * size - 1) in result.reasons[0].text
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2 * size))
    assert ingest(store, folder, checks)


def test_a_store_that_cannot_be_written_is_reported_in_one_line(tmp_path: Path) -> None:
    """A file in the folder's place is an expected failure, which names the place and the
    setting.
    """
    (tmp_path / "store").write_text("")
    with pytest.raises(SetupError, match="--store"):
        Store.open(tmp_path / "store")


KILL_AT_EACH_STEP = """
import os, sys
from pathlib import Path
from lorabay.base.shapes import BaseShapes
from lorabay.catalog.store import Store
from lorabay.catalog.admission import Checks

base, folder, root = map(Path, sys.argv[1:])
checks = Checks(BaseShapes.read(base), 16)
STEPS = {
    "open", "os.mkdir", "os.rename", "os.chmod", "os.remove", "os.rmdir",
    "shutil.rmtree", "fcntl.flock",
}

def run(last_step):
    steps = 0
    def hook(event, arguments):
        nonlocal steps
        if event in STEPS:
            steps += 1
            if steps == last_step:
                os._exit(9)  # like kill -9: nothing is cleaned up
    sys.addaudithook(hook)
    with Store.open(root) as store:
        store.ingest(folder, "finance", checks)
        store.sweep(set())
    os._exit(0)

step = 0
while True:
    step += 1
    child = os.fork()
    if child == 0:
        run(step)
    _, status = os.waitpid(child, 0)
    with Store.open(root) as store:
        for spec in store.versions():
            again = store.ingest(root / "versions" / spec.digest, "again", checks)
            assert again.digest == spec.digest
        whole = {spec.digest for spec in store.versions()}
        visible = {path.name for path in (root / "versions").iterdir()}
        assert visible == whole, "a part of a version is visible"
        store.sweep(set())
        files = [path for path in root.rglob("*") if path.is_file()]
        left = [path for path in files if path.parent.name != "servers"]
        assert left == [root / "lock"], left
    left = list((root / "servers").iterdir())
    assert left == [], left
    if status == 0:
        break
print(step)
"""


def test_a_kill_at_any_step_leaves_nothing_or_a_whole_version(tmp_path: Path) -> None:
    """A kill before any single file operation of an ingest or a collection leaves a whole store,
    which gets clean.
    """
    base = making.make_base(tmp_path / "base")
    arguments = map(str, (base, adapter(tmp_path / "a"), tmp_path / "store"))
    command = [sys.executable, "-W", "ignore", "-c", KILL_AT_EACH_STEP, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 30


@contextmanager
def kept_by_a_stopped_server(
    root: Path, folder: Path, checks: Checks
) -> Iterator[tuple[Store, Version]]:
    """Yield a store, and a version that only the records of a stopped server name."""
    with Store.open(root) as store:
        with Store.open(root) as former:
            version = ingest(former, folder, checks)
            former.records("former").update(FINANCE, {"kept": (version.digest,)})
        yield store, version


def test_a_sweep_spares_what_a_stopped_server_will_ask_for(tmp_path: Path, checks: Checks) -> None:
    """A server that starts again finds the versions that its records name, whoever collected in
    the meantime.
    """
    with kept_by_a_stopped_server(tmp_path / "store", adapter(tmp_path / "a"), checks) as (
        store,
        version,
    ):
        ingest(store, adapter(tmp_path / "b", seed=1), checks)
        assert len(store.sweep(frozenset())) == 1
        assert store.versions() == (version.spec,)
        store.records("former").update(FINANCE, {"kept": (), "source_digest": version.digest})
        assert store.sweep(frozenset()) == ()
        rollback = Rollback(to=version.digest, instead_of=Digest("f" * 64))
        store.records("former").update(FINANCE, {"source_digest": None, "rollback": rollback})
        assert store.sweep(frozenset()) == ()
        store.records("former").update(FINANCE, {"rollback": None})
        assert store.sweep(frozenset()) == (version.digest,)


def age_records(root: Path) -> None:
    long_ago = time.time() - RECORDS_KEPT_S - 1
    os.utime(root / "records" / "former", (long_ago, long_ago))


def test_records_that_no_server_uses_are_forgotten(tmp_path: Path, checks: Checks) -> None:
    """Records of a directory that nobody serves any more do not keep versions for ever."""
    with kept_by_a_stopped_server(tmp_path / "store", adapter(tmp_path / "a"), checks) as (
        store,
        version,
    ):
        age_records(tmp_path / "store")
        assert store.sweep(frozenset()) == (version.digest,)
        assert not list((tmp_path / "store" / "records").iterdir())


@pytest.mark.parametrize("closed", [False, True])
def test_the_age_of_records_counts_from_the_end_of_their_last_server(
    tmp_path: Path, checks: Checks, closed: bool
) -> None:
    """Records are fresh when their server stops or is killed, although it ran for months without
    a change.
    """
    root = tmp_path / "store"
    with kept_by_a_stopped_server(root, adapter(tmp_path / "a"), checks) as (store, version):
        user = Store.open(root)
        user.records("former")
        age_records(root)
        if closed:
            user.close()
        else:
            user._holds._own_lock.release()
        assert store.sweep(frozenset()) == ()
        assert store.sweep(frozenset()) == ()
        assert store.versions() == (version.spec,)
        user.close()
