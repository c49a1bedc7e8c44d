"""The store is whole, whoever writes, shares, fills or kills it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import validate
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Rollback
from lorabay.catalog.storage.disuse import DAYS_KEPT
from lorabay.catalog.storage.stored_version import MANIFEST_FILE
from lorabay.catalog.store import Store
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.catalog.whole_model import ModelChecks
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import CONFIG_FILE, SCALES_FILE, WEIGHTS_FILE, Limits
from lorabay.reasons import Rejected
from tests import making
from tests.failing_disk import ERRORS, FailingDisk, files_limited_to

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


def described(folder: Path, seed: int, text: str) -> Path:
    """Return an adapter whose folder says something about its use."""
    adapter(folder, seed)
    (folder / "lorabay.toml").write_text(f'description = "{text}"')
    return folder


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


def test_many_versions_are_found_in_one_go(tmp_path: Path, store: Store, checks: Checks) -> None:
    """In the order in which they are asked for, each under the name that asks, and held."""
    first, second = (ingest(store, adapter(tmp_path / f"a{seed}", seed), checks) for seed in (0, 1))
    with Store.open(tmp_path / "store") as later:
        wanted = [
            (SHOP, second.digest),
            (FINANCE, Digest("0" * 64)),
            (FINANCE, first.digest),
        ]
        assert later.get_all(wanted) == (replace(second, adapter=SHOP), None, first)
        store.close()
        with Store.open(tmp_path / "store") as other:
            assert other.sweep(frozenset()) == ()


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


def test_defaults_alone_are_a_version_that_shares_the_weights(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """The tensors are stored once, whatever the folders say and in whatever order they come."""
    first = ingest(store, described(tmp_path / "a", 0, "one"), checks)
    second = ingest(store, described(tmp_path / "b", 0, "two"), checks)
    plain = ingest(store, adapter(tmp_path / "c"), checks, SHOP)
    assert len({first.digest, second.digest, plain.digest}) == 3
    assert first.weights == second.weights == plain.weights == plain.digest
    assert first.path == second.path == plain.path
    assert first.defaults.description == "one"
    tensors = [name for name in files(tmp_path / "store") if name.endswith(".safetensors")]
    assert tensors == [f"versions/{plain.digest}/{WEIGHTS_FILE}"]

    again = ingest(store, described(tmp_path / "d", 0, "one"), checks)
    assert again == first
    assert again.spec == first.spec
    store.close()
    with Store.open(tmp_path / "store") as later:
        found = later.get(FINANCE, second.digest)
        assert found == second
        assert (found.spec, found.defaults, found.path) == (
            second.spec,
            second.defaults,
            second.path,
        )


def test_weights_stay_as_long_as_a_version_shares_them(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """A sweep takes what nobody needs, and the last version takes the weights along."""
    first = ingest(store, described(tmp_path / "a", 0, "one"), checks)
    second = ingest(store, described(tmp_path / "b", 0, "two"), checks)
    assert store.sweep({first.digest}) == (second.digest,)
    assert store.get(FINANCE, first.digest) == first
    with Store.open(tmp_path / "store") as other:
        assert other.get(FINANCE, first.digest) == first
        assert store.sweep(frozenset()) == ()
    assert set(store.sweep(frozenset())) == {first.digest, first.weights}
    assert not files(tmp_path / "store")


def test_a_server_that_knows_no_versions_spares_recorded_ones_and_their_weights(
    tmp_path: Path, checks: Checks
) -> None:
    """A record names the version alone; the store knows what that shares."""
    root = tmp_path / "store"
    with kept_by_a_stopped_server(root, described(tmp_path / "a", 0, "one"), checks) as (
        store,
        version,
    ):
        assert store.sweep(frozenset()) == ()
        assert store.get(FINANCE, version.digest) == version


def test_weights_that_lost_bytes_are_replaced_under_all_that_share_them(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Ingesting any of the versions heals them."""
    first = ingest(store, described(tmp_path / "a", 0, "one"), checks)
    second = ingest(store, described(tmp_path / "b", 0, "two"), checks)
    weights = first.path / WEIGHTS_FILE
    weights.chmod(0o600)
    weights.write_bytes(b"")
    assert store.get(FINANCE, second.digest) is None
    assert ingest(store, tmp_path / "a", checks) == first
    assert store.get(FINANCE, second.digest) == second


def test_a_folder_is_judged_by_its_copy_and_all_of_it(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Its defaults are read where its weights are; a bad file refuses the folder."""
    folder = described(tmp_path / "a", 0, "one")
    (folder / "chat_template.jinja").write_text("{% if %}")
    result = store.ingest(folder, FINANCE, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"chat_template"}
    assert not result.transient
    assert store.versions() == ()


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
    """All reasons are reported, none blames the disk, and no more than a header is copied, however
    large the file is.
    """
    folder = adapter(tmp_path / "a")
    (folder / CONFIG_FILE).write_text("no JSON")
    (folder / WEIGHTS_FILE).write_bytes(b"\xff\xfe no header")
    os.truncate(folder / WEIGHTS_FILE, size)
    with files_limited_to(1 << 30), writes_counted() as written:
        result = store.ingest(folder, FINANCE, checks)
    expected = validate(folder, checks)
    assert isinstance(result, Rejected)
    assert result == expected
    assert result.codes == {"config_not_json", "header_too_large"}
    assert written() < Limits().header_bytes + (1 << 20)


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
            weights = spec.weights_digest
            again = store.ingest(root / "versions" / weights, "again", checks)
            assert again.digest == weights
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


@pytest.mark.parametrize("has_defaults", [False, True])
def test_a_kill_at_any_step_leaves_nothing_or_a_whole_version(
    tmp_path: Path, has_defaults: bool
) -> None:
    """A kill before any single file operation of an ingest or a collection leaves a whole store,
    which gets clean; weights may be there without what shares them, never the other way round.
    """
    base = making.make_base(tmp_path / "base")
    folder = adapter(tmp_path / "a")
    if has_defaults:
        (folder / "lorabay.toml").write_text('description = "An adapter"')
    arguments = map(str, (base, folder, tmp_path / "store"))
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


class Calendar:
    """The date, as a machine believes it is."""

    def __init__(self) -> None:
        self.today = date(2026, 11, 28)

    def __call__(self) -> date:
        return self.today


def test_records_that_no_server_uses_are_forgotten(tmp_path: Path, checks: Checks) -> None:
    """Records of a directory that nobody serves any more do not keep versions for ever, but as long
    as the days on which that was seen are few.
    """
    calendar, root = Calendar(), tmp_path / "store"
    with kept_by_a_stopped_server(root, adapter(tmp_path / "a"), checks) as (_, version):
        pass
    with Store.open(root, today=calendar) as store:
        for _ in range(DAYS_KEPT - 1):
            assert store.sweep(frozenset()) == ()
            calendar.today += timedelta(days=1)
        assert store.sweep(frozenset()) == (version.digest,)
        assert not list((root / "records").iterdir())
        assert not list((root / "work").iterdir())


@pytest.mark.parametrize("days", [31, 10_000, -10_000])
def test_a_clock_that_is_wrong_removes_nothing(tmp_path: Path, checks: Checks, days: int) -> None:
    """A machine that wakes up in another year sweeps, and a stopped server still finds its
    versions.
    """
    calendar, root = Calendar(), tmp_path / "store"
    with kept_by_a_stopped_server(root, adapter(tmp_path / "a"), checks) as (_, version):
        pass
    with Store.open(root, today=calendar) as store:
        for shift in (0, days, 0, days + 1, 1):
            calendar.today = date(2026, 11, 28) + timedelta(days=shift)
            assert store.sweep(frozenset()) == ()
        assert store.versions() == (version.spec,)


@pytest.mark.parametrize("closed", [False, True])
def test_the_age_of_records_counts_from_the_end_of_their_last_server(
    tmp_path: Path, checks: Checks, closed: bool
) -> None:
    """Records are fresh when their server stops or is killed, although it ran for months without
    a change.
    """
    calendar, root = Calendar(), tmp_path / "store"
    with kept_by_a_stopped_server(root, adapter(tmp_path / "a"), checks) as (_, version):
        pass
    with Store.open(root, today=calendar) as store:
        user = Store.open(root)
        user.records("former")
        for _ in range(2 * DAYS_KEPT):
            assert store.sweep(frozenset()) == ()
            calendar.today += timedelta(days=1)
        if closed:
            user.close()
        else:
            user._holds._own_lock.release()
        for _ in range(DAYS_KEPT - 1):
            assert store.sweep(frozenset()) == ()
            calendar.today += timedelta(days=1)
        assert store.versions() == (version.spec,)
        user.close()


@pytest.mark.parametrize("error", ERRORS)
def test_a_disk_that_does_not_say_is_no_absence(
    tmp_path: Path, store: Store, checks: Checks, error: int
) -> None:
    """Whichever operation fails, a stored version is never taken for an absent one, and is there
    again when the disk is well.
    """
    version = ingest(store, adapter(tmp_path / "a"), checks)
    with FailingDisk(tmp_path / "store").attached() as disk:
        store.get(FINANCE, version.digest)
        for number in range(disk.count):
            disk.fail_once(error, number)
            try:
                assert store.get(FINANCE, version.digest) == version
                assert store.has(version.digest)
                assert store.bases(version) is None
            except SetupError as failure:
                assert os.strerror(error) in failure.message  # noqa: PT017
        disk.heal()
        assert store.get(FINANCE, version.digest) == version


def test_a_store_whose_versions_are_away_holds_nobody_knows_what(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """A volume that was unmounted is not a store without versions."""
    version = ingest(store, adapter(tmp_path / "a"), checks)
    versions = tmp_path / "store" / "versions"
    versions.rename(tmp_path / "elsewhere")
    for ask in (
        lambda: store.get(FINANCE, version.digest),
        lambda: store.has(version.digest),
        store.versions,
        lambda: store.sweep(frozenset()),
    ):
        with pytest.raises(SetupError):
            ask()
    refused = store.ingest(adapter(tmp_path / "b", seed=1), FINANCE, checks)
    assert isinstance(refused, Rejected)
    assert refused.transient
    (tmp_path / "elsewhere").rename(versions)
    assert store.get(FINANCE, version.digest) == version


def test_a_fault_at_any_operation_of_a_sweep_loses_nothing(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Whatever fails, what is kept, held by others or recorded stays; the next sweep without a
    fault leaves nothing else, and no litter.
    """
    root = tmp_path / "store"
    with kept_by_a_stopped_server(root, adapter(tmp_path / "recorded"), checks) as (_, recorded):
        pass
    with Store.open(root) as other, FailingDisk(root).attached() as disk:
        held = ingest(other, adapter(tmp_path / "held", 1), checks)
        kept = ingest(store, adapter(tmp_path / "kept", 2), checks)
        number, is_done = 0, False
        while not is_done:
            ingest(store, adapter(tmp_path / f"unused{number}", 3), checks)
            disk.fail_once(ERRORS[number % len(ERRORS)], number)
            try:
                store.sweep({kept.digest})
                is_done = disk.count <= number
            except SetupError:
                pass
            disk.heal()
            whole = {spec.digest for spec in store.versions()}
            assert {recorded.digest, held.digest, kept.digest} <= whole
            number += 1
        assert number > 20
        store.sweep({kept.digest})
    assert {spec.digest for spec in store.versions()} == {
        version.digest for version in (recorded, held, kept)
    }
    assert not list((root / "work").iterdir())


@pytest.mark.parametrize("has_defaults", [False, True])
def test_a_fault_at_any_operation_of_an_ingest_is_the_disks(
    tmp_path: Path, store: Store, checks: Checks, has_defaults: bool
) -> None:
    """The folder is not blamed, nothing half made is seen, and the next attempt stores it."""
    root, folder = tmp_path / "store", adapter(tmp_path / "a")
    if has_defaults:
        (folder / "lorabay.toml").write_text('description = "An adapter"')
    with FailingDisk(root).attached() as disk:
        number, is_done = 0, False
        while not is_done:
            disk.fail_once(ERRORS[number % len(ERRORS)], number)
            result = store.ingest(folder, FINANCE, checks)
            is_done = disk.count <= number
            disk.heal()
            if isinstance(result, Rejected):
                assert result.transient
                assert result.is_disks_fault
            for spec in store.versions():
                version = store.get(FINANCE, spec.digest)
                assert version is not None
                stored = validate(version.path, checks)
                assert isinstance(stored, AdapterSpec)
                assert stored.digest == spec.weights_digest
            assert isinstance(store.ingest(folder, FINANCE, checks), Version)
            store.sweep(frozenset())
            number += 1
        assert number > 30
    assert not files(root)


def test_a_removal_that_failed_is_made_again(
    tmp_path: Path, store: Store, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep says that it is not done, and the next one leaves nothing."""
    ingest(store, adapter(tmp_path / "a"), checks)

    def refuse(path: Path, **options: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(SetupError, match="Input/output error"):
        store.sweep(frozenset())
    assert files(tmp_path / "store")
    assert store.versions() == ()

    monkeypatch.undo()
    assert store.sweep(frozenset()) == ()
    assert not files(tmp_path / "store")


def test_what_is_not_ours_among_the_versions_stays(tmp_path: Path, store: Store) -> None:
    """File systems keep things of their own, such as `lost+found`."""
    (tmp_path / "store" / "versions" / "lost+found").mkdir()
    (tmp_path / "store" / "records" / ".nfs0001").write_text("")
    assert store.sweep(frozenset()) == ()
    assert (tmp_path / "store" / "versions" / "lost+found").is_dir()


@pytest.mark.parametrize(
    "record", ['{"kept": ["%s"], "written_by": 9}', '{"journal": [{"version": "%s"}]}']
)
def test_records_of_a_newer_server_keep_their_versions(
    tmp_path: Path, store: Store, checks: Checks, record: str
) -> None:
    """Whatever they look like, the digests in them are versions that it will ask for."""
    version = ingest(store, adapter(tmp_path / "a"), checks)
    folder = tmp_path / "store" / "records" / "newer"
    folder.mkdir()
    (folder / "finance.json").write_text(record % version.digest)
    assert store.sweep(frozenset()) == ()
    assert store.versions() == (version.spec,)


@pytest.mark.parametrize("content", ["", "{", "[]", "\0" * 100])
def test_nothing_is_removed_while_a_record_is_damaged(
    tmp_path: Path, store: Store, checks: Checks, content: str
) -> None:
    """Nobody knows which versions it named; the message names the file."""
    version = ingest(store, adapter(tmp_path / "a"), checks)
    folder = tmp_path / "store" / "records" / "former"
    folder.mkdir()
    (folder / "finance.json").write_text(content)
    with pytest.raises(SetupError, match=r"finance\.json is damaged"):
        store.sweep(frozenset())
    assert store.versions() == (version.spec,)
    (folder / "finance.json").unlink()
    assert store.sweep(frozenset()) == (version.digest,)


def test_a_full_disk_does_not_keep_what_was_given_up(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """A record that could not be written still names a version that was dropped to make room; what
    the record keeps, and what another adapter's names, stays.
    """
    dropped, kept = (ingest(store, adapter(tmp_path / f"a{seed}", seed), checks) for seed in (0, 1))
    records = store.records("key")
    records.update(FINANCE, {"kept": (kept.digest, dropped.digest)})
    unwritten = {FINANCE: {"kept": (kept.digest,)}}
    records.update(SHOP, {"kept": (dropped.digest,)})
    assert store.sweep(frozenset(), unwritten) == ()
    records.update(SHOP, {"kept": ()})
    assert store.sweep(frozenset(), unwritten) == (dropped.digest,)
    assert store.versions() == (kept.spec,)


@pytest.fixture
def dora(tmp_path: Path) -> Path:
    """An adapter whose outputs are scaled by factors of the base's weights."""
    tensors = making.lora_tensors(("q_proj",))
    for module, (outputs, _) in making.MODULES.items():
        if module.endswith("q_proj"):
            name = f"{making.PREFIX}{module}.lora_magnitude_vector"
            tensors[name] = making.stored(np.full(outputs, 2.0))
    config = making.lora_config(("q_proj",), use_dora=True)
    return making.make_adapter(tmp_path / "dora", config=config, tensors=tensors)


def over(checks: Checks, folder: Path) -> Checks:
    """Return the same checks over the weights of a base folder."""
    return replace(checks, base_weights=BaseWeights.open(folder))


def test_a_version_knows_the_bases_that_its_scales_are_right_for(
    tmp_path: Path, store: Store, checks: Checks, dora: Path
) -> None:
    """One that scales outputs names the weights that they were computed from, and also those that
    gave the same scales later; one without depends on none.
    """
    plain = ingest(store, adapter(tmp_path / "plain"), checks)
    assert store.bases(plain) is None

    bases = [random_base(tmp_path / name) for name in ("one", "two")]
    first, second = (over(checks, base) for base in bases)
    version = ingest(store, dora, first)
    assert (version.path / SCALES_FILE).exists()
    assert store.bases(version) == (first.base_weights.identity,)  # type: ignore[union-attr]

    assert ingest(store, dora, second) == version
    identities = [checks.base_weights.identity for checks in (second, first)]  # type: ignore[union-attr]
    assert store.bases(version) == tuple(identities)
    assert (version.path / MANIFEST_FILE).stat().st_mode & 0o777 == 0o444

    manifest = json.loads((version.path / MANIFEST_FILE).read_bytes())
    del manifest["bases"]
    (version.path / MANIFEST_FILE).chmod(0o644)
    (version.path / MANIFEST_FILE).write_text(json.dumps(manifest))
    assert store.bases(version) == ()
    store.note_base([version], "third")
    assert store.bases(version) == ("third",)
    store.note_base([plain], "third")
    assert store.bases(plain) is None
    with files_limited_to(0):
        store.note_base([version], "fourth")
    assert store.bases(version) == ("third",)


def random_base(folder: Path) -> Path:
    """Return a base whose weights are the same each time, in files of their own."""
    making.make_base(folder)
    numbers = np.random.default_rng(0)
    tensors = making.load(folder / "model.safetensors")
    for name, tensor in sorted(tensors.items()):
        values = numbers.standard_normal(tensor.shape).astype(np.float32)
        tensors[name] = making.stored(values, tensor.dtype)
    making.save(folder / "model.safetensors", tensors)
    return folder


MODELS = ModelChecks(frozenset({"LlamaForCausalLM"}))


def test_a_whole_model_is_stored_as_it_came(tmp_path: Path, store: Store, checks: Checks) -> None:
    """Once, read-only, under the digest of its files; found again after a restart."""
    checks = replace(checks, models=MODELS)
    source = making.make_model(tmp_path / "bank")
    version = ingest(store, source, checks)
    assert version.is_model
    for file in source.iterdir():
        assert (version.path / file.name).read_bytes() == file.read_bytes()
        assert (version.path / file.name).stat().st_mode & 0o777 == 0o444
    assert ingest(store, source, checks) == version
    store.close()
    with Store.open(tmp_path / "store") as later:
        assert later.get(FINANCE, version.digest) == version
        assert later.bases(version) is None
        assert later.sweep(frozenset({version.digest})) == ()
        assert later.sweep(frozenset()) == (version.digest,)


def test_a_models_own_words_are_a_version_that_shares_its_weights(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """So a change of them copies the weights, and needs no other engine."""
    checks = replace(checks, models=MODELS)
    plain = ingest(store, making.make_model(tmp_path / "bank"), checks)
    (tmp_path / "bank" / "lorabay.toml").write_text('description = "A bank"')
    described = ingest(store, tmp_path / "bank", checks)
    assert described.defaults.description == "A bank"
    assert described.weights == plain.weights
    assert described.digest != plain.digest
    assert not (described.path / "lorabay.toml").exists()


def test_a_model_is_refused_with_all_that_is_wrong(
    tmp_path: Path, store: Store, checks: Checks
) -> None:
    """And leaves nothing in the store; without models nothing is copied at all."""
    source = making.make_model(tmp_path / "bank", architectures=["Own"])
    (source / "lorabay.toml").write_text("description = 1")
    before = files(tmp_path / "store")
    result = store.ingest(source, FINANCE, replace(checks, models=MODELS))
    assert isinstance(result, Rejected)
    assert result.codes == {"model_architecture", "defaults_file"}
    result = store.ingest(source, FINANCE, checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"models_off"}
    assert files(tmp_path / "store") == before
