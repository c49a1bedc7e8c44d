"""The private folder of canonical adapters, by digest; the engine reads from nowhere else.

    root/lock                      held while versions appear, are held, or are removed
    root/versions/<digest>/        weights, or the defaults of a version that shares weights: see
                                   `stored_version`
    root/work/<server>.<random>/   versions that are half made, or half removed
    root/servers/                  which server lives, and what it holds: see `holds`
    root/records/<key>/            what servers remember over a restart: see `records`

A folder of versions appears by one rename, when all its files are on disk, and the weights that a
version shares appear before it and go after it: a kill at any step leaves nothing, or the whole
version. What was checked is what is stored: a source is copied first, and
only the copy is read. Several servers may share one root.

Parallel: any number of `ingest` calls, in threads and in processes. Serial, under one file lock:
appearing, holding, removing.

What the disk does not say is an error, never an answer: a version that cannot be read is not
absent, and while it is unknown what others need, nothing is removed. Knows nothing of names that
are live, or of the engine.
"""

from __future__ import annotations

import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog
from filelock import FileLock, Timeout

from lorabay.catalog import disuse, stored_version
from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.holds import Holds
from lorabay.catalog.records import Records, recorded_digests
from lorabay.catalog.versions import Digest, Version
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.folder_read import FolderRead
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Set as AbstractSet
    from datetime import date

    from lorabay.catalog.adapter_defaults import AdapterDefaults
    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.stored_version import Made, StoredVersion
    from lorabay.catalog.versions import AdapterSpec

logger = structlog.get_logger(__name__)

_DIGEST = re.compile(r"[0-9a-f]{64}")

LOCK_TIMEOUT_S = 60.0
"""How long a call waits for other servers' and threads' calls."""


class Store:
    """Versions under one root, as one server uses them.

    All methods block on the disk and may be called from any thread.
    """

    def __init__(self, root: Path, today: Callable[[], date]) -> None:
        self._root = root
        self._today = today
        self._versions = root / "versions"
        self._work = root / "work"
        self._records = root / "records"
        self._holds = Holds(root)
        self._building: set[str] = set()
        """Names of the folders in `work` that this process fills."""
        self._weights: dict[Digest, Digest] = {}
        """Versions of which it is known which weights they share; that never changes."""

    @classmethod
    def open(cls, root: Path, *, today: Callable[[], date] | None = None) -> Self:
        """Return the store at `root`, which is made if needed. Raises SetupError if it cannot be
        written.

        `today` is the date in UTC, by which unused records grow old.
        """
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = root.resolve(strict=True)
            for name in ("versions", "work", "servers", "records"):
                (root / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(root, error) from error

        store = cls(root, today or (lambda: datetime.now(UTC).date()))
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

        The versions that records name are kept while no such server runs, too, until that has been
        seen on `disuse.DAYS_KEPT` days.
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
        against it; never raises OSError or SetupError.

        `folder` and all links in it must lead into `roots`, which are absolute and have no links.
        Without them the folder may be anywhere, and its links stay inside it. A composite folder
        first becomes the adapter that it describes. Raises Stopped when `read` is to end.
        """
        read = read or FolderRead()
        # Where the folder leads to is not added to the roots: a link may have taken its place.
        allowed = roots or both_forms((folder,))
        try:
            with self._temporary_folder() as work:
                source = work / "source"
                source.mkdir()

                assembly = Assembly(
                    checks.base, allowed, checks.limits, weights=checks.base_weights
                )
                problem = assembly.take(folder, source, read)
                if problem is not None:
                    return problem

                made = stored_version.make(source, work, checks)
                if isinstance(made, Rejected):
                    return made
                read.step()
                self._commit(made)
        except OSError as error:
            return rejected([Reason("store_write", f"the store cannot be used: {_why(error)}")])
        except SetupError as error:
            logger.warning("adapter not stored", adapter=name, reason=error.message)
            text = "the adapter cannot be stored now; the server's log has the details"
            return rejected([Reason("store_write", text)])

        return self._version(name, made.spec, made.defaults)

    def get(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a stored version, and hold it from now on; None if it is absent or not whole.

        Raises SetupError if the disk does not say. A full disk does not prevent this: a server
        starts with what is stored. Other servers then know its hold from its records only.
        """
        with self._exclusive_lock():
            stored = self._read(digest)
            if stored is None:
                return None
            with suppress(OSError):
                self._hold(stored.spec)
        return self._version(name, stored.spec, stored.defaults)

    def has(self, digest: Digest) -> bool:
        """Return whether anything is stored under `digest`, whole or not.

        Raises SetupError if the disk does not say.
        """
        try:
            return digest in self._digests()
        except OSError as error:
            raise _unusable(self._root, error) from error

    def bases(self, digest: Digest) -> tuple[str, ...] | None:
        """Return the identities of the bases that the output scales of a version are right for.

        None for a version without scales, which depends on no base's weights. Empty if an older
        server, which noted none, made it. Raises SetupError if the disk does not say.
        """
        try:
            stored = self._read_weights(digest)
        except OSError as error:
            raise _unusable(self._root, error) from error
        return stored.bases if stored is not None and stored.has_scales else None

    def note_base(self, digest: Digest, identity: str) -> None:
        """Note that the output scales of a version, if it has any, are right for a base.

        A full disk does not prevent the version's use. Raises SetupError if the store is away.
        """
        with self._exclusive_lock(), suppress(OSError):
            stored = self._read_weights(digest)
            if stored is not None and stored.has_scales:
                stored_version.add_bases(self._versions / stored.weights, stored, [identity])

    def versions(self) -> tuple[AdapterSpec, ...]:
        """Return the spec of every whole version, sorted by digest; raises SetupError.

        Weights that versions share are among them, as the version without defaults.
        """
        try:
            found = [self._read(digest) for digest in self._digests()]
        except OSError as error:
            raise _unusable(self._root, error) from error
        return tuple(stored.spec for stored in found if stored is not None)

    def sweep(
        self,
        keep: AbstractSet[Digest],
        unwritten: Mapping[AdapterName, Mapping[str, object]] | None = None,
    ) -> tuple[Digest, ...]:
        """Hold exactly `keep`, and remove the versions that no server needs; return those.

        Needed is what a living server holds or a record names, and the weights that it shares.
        `unwritten` are fields of this
        server's own records that the disk has not taken yet: a full one must not keep what was
        given up to make room. A version that `ingest` or `get`
        returned is held until the next sweep that does not keep it: the caller puts sweeps off
        until it has noted the version. Raises SetupError if it is unknown what is needed, with
        nothing removed, and if something could not be removed.
        """
        with self._exclusive_lock():
            # On a full disk the holds stay too many, and removing versions makes room.
            keep = self._with_weights(keep)
            with suppress(OSError):
                self._holds.replace(keep)
            keys = self._holds.keys_in_use()
            self._holds.forget_dead_servers()
            self._forget_old_records(keys)

            others = self._with_weights(self._holds.of_others() | self._recorded(unwritten))
            unused = [digest for digest in self._digests() if digest not in keep | others]
            # Whatever shares weights goes before them: a kill in between leaves no half version.
            with suppress(OSError):
                self._with_weights(frozenset(unused))
            unused.sort(key=lambda digest: self._weights.get(digest, digest) == digest)
            for digest in unused:
                self._move_aside(digest)
            trash = self._trash()

        # Outside the lock: large files take long, and nobody sees them any more.
        self._remove(trash)
        return tuple(sorted(unused))

    def _remove(self, trash: list[Path]) -> None:
        problems: list[OSError] = []
        for path in trash:
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                problems.append(error)
        if problems:
            raise _unusable(self._root, problems[0]) from problems[0]

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Exclude other servers and threads; raises OSError."""
        # Each use has a lock object of its own, which also excludes this process's threads.
        with FileLock(self._root / "lock", timeout=LOCK_TIMEOUT_S):
            yield

    @contextmanager
    def _exclusive_lock(self) -> Iterator[None]:
        """Exclude other servers and threads; SetupError replaces every OSError of the block."""
        try:
            with self._lock():
                yield
        except OSError as error:
            raise _unusable(self._root, error) from error

    @contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        folder = self._work_path()
        self._building.add(folder.name)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            # What the disk does not let go now, the next sweep removes.
            shutil.rmtree(folder, ignore_errors=True)
            self._building.discard(folder.name)

    def _commit(self, made: Made) -> None:
        """Make a version appear, unless it is there already, and hold it. Raises OSError."""
        with self._lock():
            self._appear(made.weights, made.spec.weights_digest or made.spec.digest)
            if made.sharing is not None:
                self._appear(made.sharing, made.spec.digest)
            self._hold(made.spec)

    def _appear(self, made: Path, digest: Digest) -> None:
        folder = self._versions / digest
        stored = self._read(digest)
        if stored is not None:
            # Equal digests mean equal scales, so that the version is right for either base.
            stored_version.add_bases(folder, stored, stored_version.bases_of(made))
            return

        if folder.exists():  # damaged
            shutil.rmtree(self._move_aside(digest), ignore_errors=True)
        durable.move(made, folder)

    def _hold(self, spec: AdapterSpec) -> None:
        """Hold a version, and the weights that it shares. Raises OSError."""
        weights = self._weights[spec.digest] = spec.weights_digest or spec.digest
        self._holds.add(weights)
        self._holds.add(spec.digest)

    def _move_aside(self, digest: Digest) -> Path:
        """Take a version away by one rename: a kill during the removal leaves no part of it
        visible.
        """
        aside = self._work_path()
        (self._versions / digest).rename(aside)
        return aside

    def _trash(self) -> list[Path]:
        """Return what no living server makes any more: left by a kill, or by a disk that failed."""
        mine = f"{self._holds.server}."
        trash = []
        for path in self._work.iterdir():
            is_made = path.name in self._building
            if path.name.startswith(mine):
                is_trash = not is_made
            else:
                is_trash = not self._holds.is_alive(path.name.split(".")[0])
            if is_trash:
                trash.append(path)
        return trash

    def _forget_old_records(self, keys: set[str]) -> None:
        """Remove the records that have been seen unused on enough days; `keys` are in use."""
        for folder in self._record_folders():
            if folder.name in keys:
                disuse.note_used(folder)
            elif disuse.note_unused(folder, self._today()) >= disuse.DAYS_KEPT:
                folder.rename(self._work_path())

    def _recorded(
        self, unwritten: Mapping[AdapterName, Mapping[str, object]] | None
    ) -> frozenset[Digest]:
        """Return the versions that servers ask for when they start again."""
        digests: set[Digest] = set()
        for folder in self._record_folders():
            is_own = folder.name == self._holds.key
            digests |= recorded_digests(folder, unwritten if is_own else None)
        return frozenset(digests)

    def _record_folders(self) -> list[Path]:
        return [path for path in self._records.iterdir() if path.is_dir()]

    def _digests(self) -> list[Digest]:
        # What has another name is not ours: a file system may keep things of its own here.
        names = (path.name for path in self._versions.iterdir())
        return sorted(Digest(name) for name in names if _DIGEST.fullmatch(name))

    def _read(self, digest: Digest) -> StoredVersion | None:
        return stored_version.read(self._versions, digest)

    def _read_weights(self, digest: Digest) -> StoredVersion | None:
        """Return what is noted of the weights of a version. Raises OSError."""
        stored = self._read(digest)
        if stored is None or stored.weights == digest:
            return stored
        return self._read(stored.weights)

    def _with_weights(self, digests: AbstractSet[Digest]) -> frozenset[Digest]:
        """Return versions, and the weights that they share.

        Raises OSError if the disk does not say: then it is unknown what is needed.
        """
        for digest in digests - self._weights.keys():
            weights = stored_version.weights_of(self._versions, digest)
            if weights is not None:
                self._weights[digest] = weights
        return frozenset(digests) | {self._weights.get(digest, digest) for digest in digests}

    def _version(self, name: AdapterName, spec: AdapterSpec, defaults: AdapterDefaults) -> Version:
        folder = self._versions / (spec.weights_digest or spec.digest)
        return Version(name, spec, folder, defaults)

    def _work_path(self) -> Path:
        return self._work / f"{self._holds.server}.{secrets.token_hex(8)}"


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the store {root} cannot be used: {_why(error)}; free space or pass another --store"
    )


def _why(error: OSError) -> str:
    if isinstance(error, Timeout):
        return f"another server has held its lock for {LOCK_TIMEOUT_S:.0f} s"
    return error.strerror or str(error)
