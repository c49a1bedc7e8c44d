"""One folder's way into the store, in a thread: the version that it holds, or why there is none.

Blocks on the folder's file system, on the checks, and on the store's disk. Every failure of a
folder is a value, and so is one of the store, or of this machine, which passes. Knows nothing of
turns, or of who waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from lorabay.catalog.fingerprints import fingerprint, holds_files, sketch
from lorabay.errors import SetupError
from lorabay.files.folder_read import Stopped
from lorabay.files.real_paths import both_forms
from lorabay.reasons import Reason, Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.admission import Checks
    from lorabay.catalog.names import AdapterName
    from lorabay.catalog.store import Store
    from lorabay.catalog.versions import Version
    from lorabay.files.folder_read import FolderRead

logger = structlog.get_logger(__name__)


class FolderReading:
    """The way of folders into one store. Links in a folder may lead into `roots`."""

    def __init__(self, store: Store, roots: tuple[Path, ...]) -> None:
        self._store = store
        self._roots = roots

    def read(
        self,
        path: Path,
        name: AdapterName,
        checks: Checks,
        found_as: str | None,
        read: FolderRead,
    ) -> Version | Rejected:
        """Return the version that a folder holds, stored; see `Ingest.read`."""
        try:
            return self._read(path, name, checks, found_as, read)
        except Stopped:
            return Rejected((Reason("read_failed", "the read was given up"),))
        except (SetupError, OSError, MemoryError) as error:
            return not_now(error, name)
        except Exception:  # a folder that finds a bug in a check must not stop the others
            logger.exception("bug", adapter=name, path=str(path))
            reason = Reason(
                "internal", "a check failed unexpectedly; the server's log has the details"
            )
            return Rejected((reason,))

    def read_and_sketch(
        self, path: Path, name: AdapterName, checks: Checks, found_as: str, read: FolderRead
    ) -> tuple[Version | Rejected, str | None]:
        """Return what `read` does, and the folder's sketch at that time, if there is a version.

        Both are of the folder that was found: it is looked at after the sketch once more.
        """
        drawn = self.sketch(path, read)
        result = self.read(path, name, checks, found_as, read)
        return result, None if isinstance(result, Rejected) else drawn

    def sketch(self, path: Path, read: FolderRead) -> str | None:
        """Return the sketch of a folder; None if it has none."""
        try:
            with read.waiting():
                return sketch(path, both_forms(self._roots))
        except Stopped:
            return None

    def _read(
        self,
        path: Path,
        name: AdapterName,
        checks: Checks,
        found_as: str | None,
        read: FolderRead,
    ) -> Version | Rejected:
        with read.waiting():
            roots = both_forms(self._roots)
            # A path that was checked by the caller is a root itself, but not what a link leads to
            # that has been put in its place since.
            roots = (*roots, path) if found_as is None else roots
            before = found_as or fingerprint(path, roots)

        result = self._store.ingest(path, name, checks, roots=roots, read=read)
        if isinstance(result, Rejected):
            return result.brief

        # If the folder was replaced between its two files (a rename, Kubernetes' `..data`), they
        # may not belong together; also if what was read has gone again since.
        with read.waiting():
            after = fingerprint(path, roots)
        if after != before or not holds_files(before, read.files):
            return Rejected((Reason("changed_while_read", "the folder changed while it was read"),))

        for warning in result.spec.warnings:
            logger.warning("adapter read with a warning", adapter=name, warning=warning)
        return result


def not_now(error: Exception, name: AdapterName) -> Rejected:
    """Return a refusal that passes: the store or this machine failed, not the folder."""
    logger.warning("folder not read", adapter=name, reason=str(error) or type(error).__name__)
    if isinstance(error, SetupError):
        text = "the store cannot be used now; the server's log has the details"
        return Rejected((Reason("store_write", text),))
    text = f"the folder cannot be read now: {type(error).__name__}"
    return Rejected((Reason("read_failed", text),))
