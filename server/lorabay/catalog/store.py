"""The private folder of canonical adapters, by digest; the engine reads from nowhere else.

    root/lock                      held while versions appear, are held, or are removed
    root/versions/<digest>/        adapter_config.json, adapter_model.safetensors, manifest.json,
                                   and output_scales.safetensors for DoRA
    root/work/<server>.<random>/   versions that are half made, or half removed
    root/servers/                  which server lives, and what it holds: see `holds`
    root/records/<key>/            what servers remember over a restart: see `records`

A version's folder appears by one rename, when all its files are on disk: a kill at any step leaves
nothing, or the whole version. What was checked is what is stored: a source is copied first, and
only the copy is read. Several servers may share one root.

Parallel: any number of `ingest` calls, in threads and in processes. Serial, under one file lock:
appearing, holding, removing. Knows nothing of names that are live, or of the engine.
"""

from __future__ import annotations

import json
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from filelock import FileLock

from lorabay.catalog.admission import inspect
from lorabay.catalog.canonical import measure
from lorabay.catalog.composite_build import Assembly
from lorabay.catalog.holds import Holds
from lorabay.catalog.records import Records, recorded_digests
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.adapter_folder import CONFIG_FILE
from lorabay.files.folder_read import FolderRead
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Set as AbstractSet

    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName

MANIFEST_FILE = "manifest.json"
"""File of a version that holds its spec, and the sizes of its other files."""

LAYOUT = 1
"""Version of the manifest's form; versions of another layout count as absent."""

LOCK_TIMEOUT_S = 60.0
"""How long a call waits for other servers' and threads' calls."""

RECORDS_KEPT_S = 30 * 24 * 3600.0
"""How long records are kept after the last server that used them, in seconds."""


class Store:
    """Versions under one root, as one server uses them.

    All methods block on the disk and may be called from any thread.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._versions = root / "versions"
        self._work = root / "work"
        self._records = root / "records"
        self._holds = Holds(root)

    @classmethod
    def open(cls, root: Path) -> Self:
        """Return the store at `root`, which is made if needed. Raises SetupError if it cannot be
        written.
        """
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = root.resolve(strict=True)
            for name in ("versions", "work", "servers", "records"):
                (root / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(root, error) from error

        store = cls(root)
        # Under the lock: otherwise another server's sweep could see this server's lock file before
        # it is locked, and take the server for dead.
        with store._exclusive_lock():
            store._holds.open()
        return store

    def close(self) -> None:
        """Give up every hold; idempotent."""
        self._holds.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def records(self, key: str) -> Records:
        """Return what this server remembers over a restart, shared by servers of the same key.

        The versions that records name are kept while no such server runs, too, until
        `RECORDS_KEPT_S` after the last one.
        """
        with self._exclusive_lock():
            records = Records(self._records / key)
            self._holds.use_records(key)
        return records

    def ingest(
        self,
        folder: Path,
        name: AdapterName,
        checks: Checks,
        *,
        roots: tuple[Path, ...] = (),
        read: FolderRead | None = None,
    ) -> Version | Rejected:
        """Copy, check, convert, store and hold an adapter; return its version, or every reason
        against it.

        `folder` and all links in it must lead into `roots`, which are absolute and have no links.
        Without them the folder may be anywhere, and its links stay inside it. A composite folder
        first becomes the adapter that it describes. Raises Stopped when `read` is to end.
        """
        read = read or FolderRead()
        # Where the folder leads to is not added to the roots: a link may have taken its place.
        allowed = roots or both_forms((folder,))
        try:
            with self._temporary_folder() as work:
                source, made = work / "source", work / "version"
                source.mkdir()
                made.mkdir()

                assembly = Assembly(
                    checks.base, allowed, checks.limits, weights=checks.base_weights
                )
                problem = assembly.take(folder, source, read)
                if problem is not None:
                    return problem

                spec = _build(source, made, checks)
                if isinstance(spec, Rejected):
                    return spec
                read.step()
                self._commit(made, spec.digest)
        except OSError as error:
            return rejected([Reason("store_write", _unusable(self._root, error).message)])
        except SetupError as error:
            return rejected([Reason("store_write", error.message)])

        return self._version(name, spec)

    def get(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a stored version, and hold it from now on; None if it is absent or not whole.

        A full disk does not prevent this: a server starts with what is stored. Other servers then
        know its hold from its records only.
        """
        with self._exclusive_lock():
            spec = self._read_manifest(digest)
            if spec is None:
                return None
            with suppress(OSError):
                self._holds.add(digest)
        return self._version(name, spec)

    def versions(self) -> tuple[AdapterSpec, ...]:
        """Return the spec of every whole version, sorted by digest."""
        specs = [self._read_manifest(digest) for digest in self._digests()]
        return tuple(spec for spec in specs if spec is not None)

    def sweep(self, keep: AbstractSet[Digest]) -> tuple[Digest, ...]:
        """Hold exactly `keep`, and remove the versions that no server needs; return those.

        Needed is what a living server holds or a record names. A version that `ingest` or `get`
        returned is held until the next sweep that does not keep it: the caller puts sweeps off
        until it has noted the version.
        """
        with self._exclusive_lock():
            # On a full disk the holds stay too many, and removing versions makes room.
            with suppress(OSError):
                self._holds.replace(keep)
            self._holds.forget_dead_servers()
            self._forget_old_records()

            in_use = keep | self._holds.of_others() | self._recorded()
            unused = tuple(digest for digest in self._digests() if digest not in in_use)
            trash = [self._move_aside(digest) for digest in unused]
            trash += self._left_by_dead_servers()

        # Outside the lock: large files take long, and nobody sees them any more.
        for path in trash:
            shutil.rmtree(path, ignore_errors=True)
        return unused

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Exclude other servers and threads; SetupError replaces every OSError of the block."""
        try:
            # Each use has a lock object of its own, which also excludes this process's threads.
            with FileLock(self._root / "lock", timeout=LOCK_TIMEOUT_S):
                yield
        except OSError as error:
            raise _unusable(self._root, error) from error

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        folder = self._work_path()
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _commit(self, made: Path, digest: Digest) -> None:
        """Make a version appear, unless it is there already, and hold it."""
        with self._exclusive_lock():
            if self._read_manifest(digest) is None:
                folder = self._versions / digest
                if folder.exists():  # damaged
                    shutil.rmtree(self._move_aside(digest), ignore_errors=True)
                durable.move(made, folder)
            self._holds.add(digest)

    def _move_aside(self, digest: Digest) -> Path:
        """Take a version away by one rename: a kill during the removal leaves no part of it
        visible.
        """
        aside = self._work_path()
        (self._versions / digest).rename(aside)
        return aside

    def _left_by_dead_servers(self) -> list[Path]:
        paths = self._work.iterdir()
        return [path for path in paths if not self._holds.is_alive(path.name.split(".")[0])]

    def _forget_old_records(self) -> None:
        for folder in self._records.iterdir():
            if time.time() - folder.stat().st_mtime > RECORDS_KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)

    def _recorded(self) -> frozenset[Digest]:
        """Return the versions that servers ask for when they start again."""
        return frozenset().union(*map(recorded_digests, self._records.iterdir()))

    def _digests(self) -> list[Digest]:
        return sorted(Digest(path.name) for path in self._versions.iterdir())

    def _read_manifest(self, digest: Digest) -> AdapterSpec | None:
        """Return the spec of a stored version; None if it is absent, or lacks bytes."""
        folder = self._versions / digest
        try:
            manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
            sizes = {file: (folder / file).stat().st_size for file in manifest["files"]}
            if manifest["layout"] != LAYOUT or sizes != manifest["files"]:
                return None

            # JSON has no tuples: it turned these fields into lists.
            fields = manifest["spec"]
            tuples = {key: tuple(fields[key]) for key in ("modules", "warnings")}
            return AdapterSpec(**fields | tuples)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def _version(self, name: AdapterName, spec: AdapterSpec) -> Version:
        return Version(name, spec, self._versions / spec.digest)

    def _work_path(self) -> Path:
        return self._work / f"{self._holds.server}.{secrets.token_hex(8)}"


def _build(source: Path, made: Path, checks: Checks) -> AdapterSpec | Rejected:
    """Write a whole, read-only version folder from a private copy, and wait until it is on disk."""
    canonical = inspect(source, checks)
    if isinstance(canonical, Rejected):
        return canonical

    spec = measure(canonical, lambda name: (made / name).open("xb"))
    if isinstance(spec, Rejected):
        return spec
    (made / CONFIG_FILE).write_text(json.dumps(canonical.config, indent=2) + "\n")

    sizes = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
    manifest = {"layout": LAYOUT, "spec": asdict(spec), "files": sizes}
    (made / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")

    for file in (*sizes, MANIFEST_FILE):
        (made / file).chmod(0o444)
    durable.sync_tree(made)
    return spec


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the store {root} cannot be used: {error.strerror or error}; "
        "free space or pass another --store"
    )
