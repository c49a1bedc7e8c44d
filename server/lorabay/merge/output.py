"""The folder that a merge makes, and the moment from which its files may be seen.

    OUT/.merging/    everything until all of it is on disk: inputs.json, the files that are
                     finished, the tallies of their tensors
    OUT/...          the files, moved there at the end: weights first, config.json after the
                     rest, merge.json last.

No program takes a folder without config.json for a model: a reader sees nothing or all of it. A
later run with the same inputs goes on from the files that are finished; a run with other inputs
starts over. Both may come after a kill at any step. The folder is locked while a run lasts. This
module does not know the files' content.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from lorabay.base.files import CONFIG
from lorabay.errors import SetupError
from lorabay.files import durable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROVENANCE_FILE = "merge.json"

_WORK = ".merging"
_LOCK = "lock"
_INPUTS = "inputs.json"
_NO_INPUTS = "{}\n"
_PUBLISHED = "published.json"
_IGNORED = frozenset({_WORK, "lost+found"})

_DEPTH = 2
"""Parts of a file's name at most: it, and the folder that it may lie in."""

_LAST = (CONFIG, PROVENANCE_FILE)
"""Files that are published after all others, in this order."""


class Output:
    """An output folder. Files are made in `work` and moved to `folder` by `publish`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / _WORK

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, inputs: Mapping[str, object], *, overwrite: bool
    ) -> Iterator[Output]:
        """Make the folder and hold its lock while the block lasts.

        Files that an earlier run finished from other inputs are removed. Raise SetupError if the
        folder is in use, cannot be written, or holds something that may not be overwritten.
        """
        output = cls(folder)
        output._check(overwrite=overwrite)

        try:
            output.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SetupError(
                f"the output folder {folder} cannot be made: {error.strerror}"
            ) from error

        lock = FileLock(output.work / _LOCK, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise SetupError(
                f"another merge is writing to {folder}; wait for it or choose another folder"
            ) from None
        except OSError as error:
            raise SetupError(
                f"the output folder {folder} cannot be written: {error.strerror}"
            ) from error

        try:
            output._begin(inputs)
            yield output
        finally:
            lock.release()

    def _check(self, *, overwrite: bool) -> None:
        """Raise SetupError if the folder cannot be used or may not be overwritten."""
        if self.folder.is_dir() and not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise SetupError(
                f"the output folder {self.folder} cannot be written: Permission denied"
            )

        try:
            names = {path.name for path in self.folder.iterdir()} - _IGNORED
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise SetupError(f"the output {self.folder} is a file; choose another folder") from None
        except OSError as error:
            raise SetupError(
                f"the output folder {self.folder} cannot be read: {error.strerror}"
            ) from error

        # A run that was interrupted while it published may always go on.
        if not names or self.publishing:
            return

        if not overwrite:
            raise SetupError(
                f"the output folder {self.folder} is not empty; choose another, or pass --overwrite"
            )
        # An overwrite that was interrupted may have removed the earlier merge already.
        if PROVENANCE_FILE not in names and not (self.work / _INPUTS).exists():
            raise SetupError(
                f"the output folder {self.folder} holds something else than a merged model: it "
                f"has no {PROVENANCE_FILE}; only what `lorabay merge` made is overwritten"
            )

    def _begin(self, inputs: Mapping[str, object]) -> None:
        """Remove the files of an earlier run, unless it had the same inputs."""
        path = self.work / _INPUTS
        text = json.dumps(inputs, indent=2, sort_keys=True) + "\n"
        with suppress(OSError):
            if path.read_text() == text:
                return

        # From here on nothing that is left counts as finished, also after a kill.
        if path.exists():
            durable.write(path, _NO_INPUTS)

        # The published files go first, as long as published.json still names them.
        for name in self._published():
            self._remove(name)
        for entry in list(self.work.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name not in (_LOCK, _INPUTS):
                entry.unlink()
        durable.write(path, text)

    @property
    def publishing(self) -> bool:
        """Whether a run with the same inputs was interrupted while it moved its files."""
        return (self.work / _PUBLISHED).exists()

    def find(self, name: str, size: int) -> Path | None:
        """Return the file of this name and size that an earlier run finished, if there is one."""
        places = [self.work / name]
        if name in self._published():
            # An interrupted publication may have moved it already.
            places.append(self.folder / name)

        for path in places:
            with suppress(OSError):
                if path.stat().st_size == size:
                    return path
        return None

    def publish(self, files: Sequence[str]) -> None:
        """Move `files` from `work` to the folder, config and provenance last; then remove `work`.

        A run that was interrupted in here may call it again. Raise OSError.
        """
        names = [name for name in files if name not in _LAST]
        names += [name for name in _LAST if name in files]

        # On disk before any of them is moved: a published name must not lead to missing bytes.
        for name in names:
            path = self.work / name
            if path.exists():
                durable.sync(path)

        # The earlier merge stays whole until this one is on disk.
        if (self.work / PROVENANCE_FILE).exists() and (self.folder / PROVENANCE_FILE).exists():
            self._remove_earlier()

        # From here on a later run finishes the moves.
        durable.write(self.work / _PUBLISHED, json.dumps(names) + "\n")
        for name in names:
            if (self.work / name).exists():
                self._move(name, self.work, self.folder)
                # All weights are in place, on disk, before the config makes a model of them.
                if name in _LAST:
                    durable.sync(self.folder)

        durable.sync(self.folder)
        # First, for without the rest of `work` nothing could be said of the files that it names.
        (self.work / _PUBLISHED).unlink()
        shutil.rmtree(self.work, ignore_errors=True)

    def withdraw(self) -> None:
        """Undo an interrupted `publish`: move its files back into `work`, the last one first."""
        for name in reversed(self._published()):
            if not (self.work / name).exists() and (self.folder / name).exists():
                self._move(name, self.folder, self.work)
        durable.sync(self.work)
        (self.work / _PUBLISHED).unlink()

    def _move(self, name: str, source: Path, target: Path) -> None:
        """Move one file between the two folders, with the folder that its name may lie in."""
        place = target / name
        place.parent.mkdir(exist_ok=True)
        (source / name).replace(place)
        if place.parent != target:
            durable.sync(place.parent)

    def _remove_earlier(self) -> None:
        """Remove the files that the folder's provenance names: config first, provenance last."""
        # The config first: without it, the weights that are left do not look like a model.
        with suppress(ValueError, AttributeError, TypeError):
            provenance = json.loads((self.folder / PROVENANCE_FILE).read_bytes())
            for name in sorted(provenance.get("files", {}), key=lambda name: name != CONFIG):
                if name != PROVENANCE_FILE and self._is_inside(name):
                    self._remove(name)

        (self.folder / CONFIG).unlink(missing_ok=True)
        (self.folder / PROVENANCE_FILE).unlink()

    def _remove(self, name: str) -> None:
        """Remove one file, and the folder that its name lies in if nothing else is there."""
        place = self.folder / name
        place.unlink(missing_ok=True)
        if place.parent != self.folder:
            with suppress(OSError):
                place.parent.rmdir()

    def _is_inside(self, name: str) -> bool:
        """Return whether a name leads to a file of the folder, or of one that lies right in it."""
        parts = name.split("/")
        if len(parts) > _DEPTH or {"", ".", ".."} & set(parts):
            return False
        return len(parts) == 1 or not (self.folder / parts[0]).is_symlink()

    def _published(self) -> tuple[str, ...]:
        """Return the names that an interrupted `publish` was moving, in their order."""
        with suppress(OSError, ValueError):
            return tuple(json.loads((self.work / _PUBLISHED).read_bytes()))
        return ()
