"""The private folder of canonical adapters, by digest; the engine reads from nowhere else.

    root/lock                      held while versions appear, are held, or are removed
    root/versions/<digest>/        weights, or the defaults of a version that shares weights: see
                                   `storage.stored_version`
    root/work/<server>.<random>/   versions that are half made, or half removed
    root/servers/                  which server lives, and what it holds: see `storage.holds`
    root/records/<key>/            what servers remember over a restart: see `records`

A folder of versions appears by one rename, when all its files are on disk, and the weights that a
version shares appear before it and go after it: a kill at any step leaves nothing, or the whole
version. What was checked is what is stored: a source is copied first, and only the copy is read.
Several servers may share one root.

Parallel: any number of `ingest` calls, in threads and in processes; those of one process that wait
for the disk at the same time wait once, together. Serial, under one file lock: appearing, holding,
removing.

What the disk does not say is an error, never an answer: a version that cannot be read is not
absent, and while it is unknown what others need, nothing is removed. Knows nothing of names that
are live, or of the engine.
"""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog
from filelock import FileLock, Timeout

from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.storage import stored_version, work_folder
from lorabay.catalog.storage.group_commit import GroupCommit
from lorabay.catalog.storage.holds import Holds
from lorabay.catalog.storage.record_folders import RecordFolders
from lorabay.catalog.storage.version_folders import VersionFolders
from lorabay.catalog.storage.work_folder import WorkFolder
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.folder_read import FolderRead
from lorabay.files.model_folder import model_files_in
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set as AbstractSet
    from datetime import date

    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.records import Records
    from lorabay.catalog.storage.stored_version import Made
    from lorabay.catalog.versions import AdapterSpec, Digest, Version

logger = structlog.get_logger(__name__)

LOCK_TIMEOUT_S = 60.0
"""How long a call waits for other servers' and threads' calls."""


class Store:
    """Versions under one root, as one server uses them.

    All methods block on the disk and may be called from any thread.
    """

    def __init__(self, root: Path, today: Callable[[], date]) -> None:
        self._root = root
        self._today = today
        self._holds = Holds(root)
        self._work = WorkFolder(root / "work", self._holds.server)
        self._versions = VersionFolders(root / "versions", self._work)
        self._records = RecordFolders(root / "records", self._work)
        self._commits: GroupCommit[Made] = GroupCommit(self._commit_all)

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

        store = cls(root, today or _today)
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
            records = self._records.of(key)
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
            with self._work.temporary() as work:
                made = _make(folder, work, checks, allowed, read)
                if isinstance(made, Rejected):
                    return made
                read.step()
                # What is left needs the store's disk alone.
                read.finish()
                self._commits.commit(made)
        except OSError as error:
            return rejected([Reason("store_write", f"the store cannot be used: {_why(error)}")])
        except SetupError as error:
            logger.warning("adapter not stored", adapter=name, reason=error.message)
            text = "the adapter cannot be stored now; the server's log has the details"
            return rejected([Reason("store_write", text)])

        return self._versions.version(name, made.spec, made.defaults)

    def get(self, name: AdapterName, digest: Digest) -> Version | None:
        """Return a stored version, and hold it from now on; None if it is absent or not whole.

        Raises SetupError if the disk does not say. A full disk does not prevent this: a server
        starts with what is stored. Other servers then know its hold from its records only.
        """
        return self.get_all([(name, digest)])[0]

    def get_all(self, wanted: Sequence[tuple[AdapterName, Digest]]) -> tuple[Version | None, ...]:
        """Return many versions as `get` does, in the order in which they are asked for.

        Raises SetupError if the disk does not say of one of them; then nothing is known of any.
        """
        with self._exclusive_lock():
            found = [self._versions.read(digest) for _, digest in wanted]
            with suppress(OSError):
                self._hold(stored.spec for stored in found if stored is not None)

        return tuple(
            None if stored is None else self._versions.version(name, stored.spec, stored.defaults)
            for (name, _), stored in zip(wanted, found, strict=True)
        )

    def has(self, digest: Digest) -> bool:
        """Return whether anything is stored under `digest`, whole or not.

        Raises SetupError if the disk does not say.
        """
        try:
            return digest in self._versions.digests()
        except OSError as error:
            raise _unusable(self._root, error) from error

    def bases(self, version: Version) -> tuple[str, ...] | None:
        """Return the identities of the bases whose weights a version is right over.

        None for a version that depends on no base's weights. Empty if it has output scales and an
        older server, which noted none, made it. Raises SetupError if the disk does not say.
        """
        try:
            stored = self._versions.read(version.weights)
        except OSError as error:
            raise _unusable(self._root, error) from error
        return stored.bases if stored is not None and stored.is_of_bases else None

    def scales_outputs(self, version: Version) -> bool:
        """Return whether a version scales outputs (DoRA); raises SetupError."""
        try:
            return stored_version.has_scales(version.path)
        except OSError as error:
            raise _unusable(self._root, error) from error

    def note_base(self, versions: Iterable[Version], identity: str) -> None:
        """Note that the output scales of versions, where they have any, are right for a base.

        A full disk does not prevent the versions' use. Raises SetupError if the store is away.
        """
        try:
            scaled = [one for one in versions if stored_version.has_scales(one.path)]
        except OSError as error:
            raise _unusable(self._root, error) from error
        if not scaled:
            return

        with self._exclusive_lock(), suppress(OSError):
            for version in scaled:
                self._versions.note_base(version.weights, identity)

    def versions(self) -> tuple[AdapterSpec, ...]:
        """Return the spec of every whole version, sorted by digest; raises SetupError.

        Weights that versions share are among them, as the version without defaults.
        """
        try:
            stored = [self._versions.read(digest) for digest in self._versions.digests()]
        except OSError as error:
            raise _unusable(self._root, error) from error
        return tuple(version.spec for version in stored if version is not None)

    def sweep(
        self,
        keep: AbstractSet[Digest],
        unwritten: Mapping[AdapterName, Mapping[str, object]] | None = None,
    ) -> tuple[Digest, ...]:
        """Hold exactly `keep`, and remove the versions that no server needs; return those.

        Needed is what a living server holds or a record names, and the weights that it shares.
        `unwritten` are fields of this server's own records that the disk has not taken yet: a full
        one must not keep what was given up to make room. A version that `ingest` or `get` returned
        is held until the next sweep that does not keep it: the caller puts sweeps off until it has
        noted the version. Raises SetupError if it is unknown what is needed, with nothing removed,
        and if something could not be removed.
        """
        with self._exclusive_lock():
            keep = self._versions.with_weights(keep)
            # On a full disk the holds stay too many, and removing versions makes room.
            with suppress(OSError):
                self._holds.replace(keep)

            keys_in_use = self._holds.keys_in_use()
            self._holds.forget_dead_servers()
            self._records.forget_unused(keys_in_use, self._today())

            held = self._holds.of_others()
            recorded = self._records.digests(self._holds.key, unwritten)
            needed = keep | self._versions.with_weights(held | recorded)
            unused = [digest for digest in self._versions.digests() if digest not in needed]
            self._versions.remove(unused)
            trash = self._work.trash(self._holds.is_alive)

        # Outside the lock: large files take long, and nobody sees them any more.
        try:
            work_folder.delete(trash)
        except OSError as error:
            raise _unusable(self._root, error) from error
        return tuple(unused)

    def _commit_all(self, group: Sequence[Made]) -> list[Exception | None]:
        """Make versions appear, unless they are there already, and hold them.

        Return what went wrong with each. Raises OSError if that concerns them all.
        """
        if len(group) > 1:
            durable.write_out(self._root)
        problems = [_problem_of(made.sync) for made in group]

        with self._lock():
            for number, made in enumerate(group):
                if problems[number] is None:
                    problems[number] = _problem_of(partial(self._versions.add, made))
            lasting = [made for made, problem in zip(group, problems, strict=True) if not problem]
            self._versions.sync()
            self._hold(made.spec for made in lasting)
        return problems

    def _hold(self, specs: Iterable[AdapterSpec]) -> None:
        """Hold versions, and the weights that they share. Raises OSError."""
        digests: list[Digest] = []
        for spec in specs:
            self._versions.note_weights(spec)
            digests += [spec.weights, spec.digest]
        self._holds.add(*digests)

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


def _make(
    folder: Path, work: Path, checks: Checks, roots: tuple[Path, ...], read: FolderRead
) -> Made | Rejected:
    """Make a version of what `folder` holds, below `work`: of an adapter, or of a whole model."""
    is_model = False
    with read.waiting(), suppress(OSError):
        is_model = bool(model_files_in(folder))
    if is_model:
        return stored_version.make_model(folder, work, checks, roots, read)

    source = work / "source"
    source.mkdir()
    assembly = Assembly(checks.base, roots, checks.limits, weights=checks.base_weights)
    of_base: list[bool] = []
    problem = assembly.take(folder, source, read, partial(of_base.append, True))
    if problem is not None:
        return problem

    made = stored_version.make(source, work, checks, read, of_base=bool(of_base))
    # The disk need not take the copy, too.
    shutil.rmtree(source, ignore_errors=True)
    return made


def _problem_of(step: Callable[[], object]) -> Exception | None:
    """Make one version's step; return what the disk says against it."""
    try:
        step()
    except OSError as error:
        return error
    return None


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the store {root} cannot be used: {_why(error)}; free space or pass another --store"
    )


def _why(error: OSError) -> str:
    if isinstance(error, Timeout):
        return f"another server has held its lock for {LOCK_TIMEOUT_S:.0f} s"
    return error.strerror or str(error)


def _today() -> date:
    return datetime.now(UTC).date()
