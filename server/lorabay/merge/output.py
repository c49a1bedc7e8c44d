"""The folder that a merge makes: when it may be seen, and what a run that was interrupted leaves.

    OUT/.merging/    everything, until all of it is on disk: inputs.json, the files that are
    finished, facts about them OUT/...          the files, moved there at the end: weights first,
    then the rest, config.json after it

Without its config.json no program takes a folder for a model, so that what it sees is nothing or
the whole. A later run with the same inputs goes on from the files that are finished; with other
inputs it begins anew. One run at a time. Knows nothing of what the files hold.
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
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

PROVENANCE_FILE = "merge.json"
_WORK, _LOCK, _INPUTS, _PUBLISHED = ".merging", "lock", "inputs.json", "published.json"
_IGNORED = frozenset({_WORK, "lost+found"})


class Output:
    """An opened output folder. `work` is where files are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / _WORK

    @classmethod
    @contextmanager
    def open(
        cls, folder: Path, inputs: Mapping[str, object], *, overwrite: bool
    ) -> Iterator[Output]:
        """Make the folder and lock it. What was finished from other inputs is removed. Raises
        SetupError.
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
        if self.folder.is_dir() and not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise SetupError(
                f"the output folder {self.folder} cannot be written: Permission denied"
            )
        try:
            found = {path.name for path in self.folder.iterdir()} - _IGNORED
        except FileNotFoundError:
            return
        except NotADirectoryError:
            raise SetupError(f"the output {self.folder} is a file; choose another folder") from None
        except OSError as error:
            raise SetupError(
                f"the output folder {self.folder} cannot be read: {error.strerror}"
            ) from error
        if not found or (self.work / _PUBLISHED).exists():
            return
        if not overwrite:
            raise SetupError(
                f"the output folder {self.folder} is not empty; choose another, or pass --overwrite"
            )
        if PROVENANCE_FILE not in found:
            raise SetupError(
                f"the output folder {self.folder} holds something else than a merged model: it has no "
                f"{PROVENANCE_FILE}; only what `lorabay merge` made is overwritten"
            )

    def _begin(self, inputs: Mapping[str, object]) -> None:
        path = self.work / _INPUTS
        text = json.dumps(inputs, indent=2, sort_keys=True) + "\n"
        with suppress(OSError):
            if path.read_text() == text:
                return
        for name in self._published():
            (self.folder / name).unlink(missing_ok=True)
        for entry in list(self.work.iterdir()):
            if entry.name != _LOCK:
                entry.unlink()
        durable.write(path, text)

    @property
    def publishing(self) -> bool:
        """Whether an earlier run with the same inputs was interrupted while its files were
        moved.
        """
        return (self.work / _PUBLISHED).exists()

    def find(self, name: str, size: int) -> Path | None:
        """A file that an earlier run finished, of this size."""
        places = [self.work / name]
        if name in self._published():
            places.append(self.folder / name)
        for path in places:
            with suppress(OSError):
                if path.stat().st_size == size:
                    return path
        return None

    def publish(self, files: Iterable[str]) -> None:
        """Move `files` out of `work`, in this order but the config and then the provenance last,
        and remove `work`.
        """
        names = sorted(
            files, key=lambda name: (CONFIG, PROVENANCE_FILE).index(name) if name in _LAST else -1
        )
        for name in names:
            path = self.work / name
            if path.exists():
                durable.sync(path)
        if (self.work / PROVENANCE_FILE).exists() and (self.folder / PROVENANCE_FILE).exists():
            self._remove_former()
        durable.write(self.work / _PUBLISHED, json.dumps(names) + "\n")
        for name in names:
            if (self.work / name).exists():
                (self.work / name).replace(self.folder / name)
                if name in _LAST:
                    durable.sync(self.folder)
        durable.sync(self.folder)
        shutil.rmtree(self.work, ignore_errors=True)

    def withdraw(self) -> None:
        """Take back what an interrupted `publish` moved, the last first, as if it had not begun."""
        for name in reversed(self._published()):
            if not (self.work / name).exists() and (self.folder / name).exists():
                (self.folder / name).replace(self.work / name)
        durable.sync(self.work)
        (self.work / _PUBLISHED).unlink()

    def _remove_former(self) -> None:
        with suppress(ValueError, AttributeError, TypeError):
            former = json.loads((self.folder / PROVENANCE_FILE).read_bytes()).get("files", {})
            for name in sorted(former, key=lambda name: name != CONFIG):
                if "/" not in name and name != PROVENANCE_FILE:
                    (self.folder / name).unlink(missing_ok=True)
        (self.folder / CONFIG).unlink(missing_ok=True)
        (self.folder / PROVENANCE_FILE).unlink()

    def _published(self) -> tuple[str, ...]:
        with suppress(OSError, ValueError):
            return tuple(json.loads((self.work / _PUBLISHED).read_bytes()))
        return ()


_LAST = (CONFIG, PROVENANCE_FILE)
