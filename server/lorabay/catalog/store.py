"""The private, content-addressed folder of canonical adapters; the engine only ever reads from
here.

    root/versions/<digest>/{adapter_config.json, adapter_model.safetensors, manifest.json} and
    output_scales.safetensors for DoRA root/work/<server>.<n>/        half-made versions
    root/servers/<server>.lock     held while that server lives root/servers/<server>.held     the
    digests that it holds, one a line: never collected root/servers/<server>.records  the key of the
    records that it uses root/records/<key>/            what servers remember over a restart: what
    it names is not collected either

A version folder appears by one rename when all its files are on disk, the manifest written last; a
kill at any step leaves nothing or a whole version. Several servers may share one root. What is
validated is what is stored: a source is copied first and never looked at again.

Parallel: any number of `ingest` calls, in threads and in processes. Serial, under one file lock:
appearing, holding, removing. Knows nothing of names that are live, or of the engine.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from filelock import FileLock, Timeout

from lorabay.catalog.admission import inspect
from lorabay.catalog.canonical import measure
from lorabay.catalog.composite_build import Assembly
from lorabay.catalog.records import Records, recorded_digests
from lorabay.catalog.versions import AdapterSpec, Digest, Version
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.files.adapter_folder import CONFIG_FILE
from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Set as AbstractSet

    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName

MANIFEST_FILE = "manifest.json"
_LAYOUT = 1
_LOCK_SECONDS = 60.0

RECORDS_KEPT_S = 30 * 24 * 3600.0
"""How long records are kept once no server uses them, in seconds."""


class Store:
    """All methods block on the disk and may be called from any thread."""

    def __init__(self, root: Path, server: str, alive: FileLock) -> None:
        self._root = root
        self._server = server
        self._alive = alive
        self._held: set[Digest] = set()

    @classmethod
    def open(cls, root: Path) -> Self:
        """Makes the folder if needed. Raises SetupError when it cannot be written."""
        server = secrets.token_hex(8)
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root = root.resolve(strict=True)
            for name in ("versions", "work", "servers", "records"):
                (root / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise _unusable(root, error) from error
        store = cls(root, server, FileLock(root / "servers" / f"{server}.lock", thread_local=False))
        # Under the store's lock: a collector must never see our lock file while it is not locked
        # yet.
        with store._locked():
            store._alive.acquire(timeout=0)
        return store

    def close(self) -> None:
        """Gives up every hold. Idempotent."""
        self._note_use_of_records(self._path("records"))
        self._alive.release()
        for suffix in ("records", "held", "lock"):
            self._path(suffix).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def records(self, key: str) -> Records:
        """What this server remembers over a restart, together with others of the same key.

        The versions that they name are kept also while no such server runs, until `RECORDS_KEPT_S`
        after the last one.
        """
        with self._locked():
            folder = self._root / "records" / key
            records = Records(folder)
            os.utime(folder)
            with suppress(OSError):  # on a full disk their age counts from now
                self._path("records").write_text(key)
        return records

    def ingest(
        self, folder: Path, name: AdapterName, checks: Checks, *, roots: tuple[Path, ...] = ()
    ) -> Version | Rejected:
        """Copy, validate, canonicalise, store and hold. Links may lead anywhere inside `folder` or
        `roots`.

        A composite folder is first made the adapter that it stands for.
        """
        allowed = tuple(root.resolve() for root in (folder, *roots))
        try:
            with self._work_folder() as work:
                source, made = work / "source", work / "version"
                source.mkdir()
                made.mkdir()
                assembly = Assembly(
                    checks.base, allowed, checks.limits, weights=checks.base_weights
                )
                if problem := assembly.take(folder, source):
                    return problem
                spec = _build(source, made, checks)
                if isinstance(spec, Rejected):
                    return spec
                self._commit(made, spec.digest)
        except OSError as error:
            return rejected([Reason("store_write", _unusable(self._root, error).message)])
        except SetupError as error:
            return rejected([Reason("store_write", error.message)])
        return self._version(name, spec)

    def get(self, name: AdapterName, digest: Digest) -> Version | None:
        """The stored version, held from now on; None when it is not there or not whole.

        On a full disk a server starts with what is stored; other servers then know its hold only
        from its records.
        """
        with self._locked():
            spec = self._read_manifest(digest)
            if spec is not None:
                with suppress(OSError):
                    self._hold(digest)
        return None if spec is None else self._version(name, spec)

    def versions(self) -> tuple[AdapterSpec, ...]:
        """Every whole version, by digest."""
        specs = (
            self._read_manifest(Digest(path.name))
            for path in sorted((self._root / "versions").iterdir())
        )
        return tuple(spec for spec in specs if spec is not None)

    def collect(self, keep: AbstractSet[Digest]) -> tuple[Digest, ...]:
        """Holds exactly `keep` from now on and removes the versions that no living server holds and
        no record names.

        Call it from the same task that calls `ingest` and `get`: a digest that they returned is
        held until the next call that does not name it.
        """
        with self._locked():
            with suppress(
                OSError
            ):  # on a full disk it holds too much, and removing is what makes room
                self._hold_exactly(keep)
            in_use = keep | self._held_by_others() | self._recorded()
            found = sorted(Digest(path.name) for path in (self._root / "versions").iterdir())
            removed = tuple(digest for digest in found if digest not in in_use)
            trash = [self._set_aside(digest) for digest in removed]
            trash += [
                path
                for path in (self._root / "work").iterdir()
                if not self._is_alive(path.name.split(".")[0])
            ]
        for path in trash:
            shutil.rmtree(path, ignore_errors=True)
        return removed

    def _version(self, name: AdapterName, spec: AdapterSpec) -> Version:
        return Version(name, spec, self._root / "versions" / spec.digest)

    @contextmanager
    def _work_folder(self) -> Iterator[Path]:
        work = self._root / "work" / f"{self._server}.{secrets.token_hex(8)}"
        try:
            work.mkdir(mode=0o700)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Raises SetupError for whatever goes wrong with the disk inside."""
        try:
            # A lock object of its own per use also excludes the other threads of this process.
            with FileLock(self._root / "lock", timeout=_LOCK_SECONDS):
                yield
        except OSError as error:
            raise _unusable(self._root, error) from error

    def _commit(self, made: Path, digest: Digest) -> None:
        with self._locked():
            if self._read_manifest(digest) is None:
                if (self._root / "versions" / digest).exists():
                    shutil.rmtree(self._set_aside(digest), ignore_errors=True)
                durable.move(made, self._root / "versions" / digest)
            self._hold(digest)

    def _set_aside(self, digest: Digest) -> Path:
        """Takes a version away in one step, so that a kill while its files are deleted leaves no
        part of it visible.
        """
        aside = self._root / "work" / f"{self._server}.{secrets.token_hex(8)}"
        (self._root / "versions" / digest).rename(aside)
        return aside

    def _hold(self, digest: Digest) -> None:
        if digest not in self._held:
            with self._path("held").open("a") as held:
                held.write(f"\n{digest}")  # the line before may have been cut short by a full disk
            self._held.add(digest)

    def _hold_exactly(self, digests: AbstractSet[Digest]) -> None:
        lines = "".join(f"{digest}\n" for digest in digests)
        durable.write(self._path("held"), lines, lasting=False)
        self._held = set(digests)

    def _path(self, suffix: str) -> Path:
        return self._root / "servers" / f"{self._server}.{suffix}"

    def _held_by_others(self) -> set[Digest]:
        """Also forgets the servers that are gone."""
        held: set[Digest] = set()
        for path in (self._root / "servers").iterdir():
            if path.suffix == ".records":
                self._note_use_of_records(path)
            if not self._is_alive(path.stem):
                path.unlink(missing_ok=True)
            elif path.suffix == ".held" and path.stem != self._server:
                with suppress(FileNotFoundError):  # it is closing right now
                    held |= {Digest(digest) for digest in path.read_text().split()}
        return held

    def _recorded(self) -> set[Digest]:
        """What servers will ask for when they start again; also forgets the records that none has
        used for long.
        """
        named: set[Digest] = set()
        for folder in (self._root / "records").iterdir():
            if time.time() - folder.stat().st_mtime > RECORDS_KEPT_S:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                named |= recorded_digests(folder)
        return named

    def _note_use_of_records(self, path: Path) -> None:
        """`path` is a server's note of the records that it uses, or used until it was killed."""
        with suppress(OSError):
            os.utime(self._root / "records" / path.read_text())

    def _is_alive(self, server: str) -> bool:
        if server == self._server:
            return True
        path = self._root / "servers" / f"{server}.lock"
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def _read_manifest(self, digest: Digest) -> AdapterSpec | None:
        folder = self._root / "versions" / digest
        with suppress(OSError, ValueError, TypeError, KeyError):
            manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
            sizes = {file: (folder / file).stat().st_size for file in manifest["files"]}
            if manifest["layout"] == _LAYOUT and sizes == manifest["files"]:
                fields = manifest["spec"]
                return AdapterSpec(
                    **fields | {key: tuple(fields[key]) for key in ("modules", "warnings")}
                )
        return None


def _build(source: Path, made: Path, checks: Checks) -> AdapterSpec | Rejected:
    """Writes a whole, synced, read-only version folder from a private copy."""
    canonical = inspect(source, checks)
    if isinstance(canonical, Rejected):
        return canonical
    spec = measure(canonical, lambda name: (made / name).open("xb"))
    if isinstance(spec, Rejected):
        return spec
    (made / CONFIG_FILE).write_text(json.dumps(canonical.config, indent=2) + "\n")
    sizes = {path.name: path.stat().st_size for path in sorted(made.iterdir())}
    manifest = {"layout": _LAYOUT, "spec": asdict(spec), "files": sizes}
    (made / MANIFEST_FILE).write_text(json.dumps(manifest, indent=2) + "\n")
    for file in (*sizes, MANIFEST_FILE):
        (made / file).chmod(0o444)
    durable.sync_tree(made)
    return spec


def _unusable(root: Path, error: OSError) -> SetupError:
    return SetupError(
        f"the store {root} cannot be used: {error.strerror or error}; free space or pass another --store"
    )
