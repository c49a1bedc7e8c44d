"""The files of a whole model, which someone else may be writing, or may have made to do harm.

A folder holds a whole model if it has `config.json` beside weights in safetensors: one file, or
parts with their index. Only files of known names are taken: no program, no pickle. Each must be a
regular file inside the allowed roots once all links are followed. This module does not know what
the files mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Unreadable,
    check_unchanged,
    open_folder,
    open_source,
    read_bytes,
)
from lorabay.files.folder_read import FolderRead
from lorabay.files.side_files import (
    ADDED_TOKENS_FILE,
    GENERATION_CONFIG_FILE,
    MODEL_CONFIG_FILE,
    SETTINGS_FILE,
    SIDE_FILES,
    TEMPLATE_FILE,
    TEMPLATE_JSON_FILE,
    TOKENIZER_CONFIG_FILE,
    TOKENIZER_FILE,
)
from lorabay.reasons import Reason, Rejected, rejected

if TYPE_CHECKING:
    from collections.abc import Collection

MODEL_INDEX_FILE = "model.safetensors.index.json"
MODEL_WEIGHTS_FILE = "model.safetensors"
MODEL_WEIGHTS = re.compile(r"model(?:-\d+-of-\d+)?\.safetensors")
"""The names that transformers gives to the weights of a model, and to their parts."""

SMALL_FILES = {
    MODEL_CONFIG_FILE: SIDE_FILES[MODEL_CONFIG_FILE],
    MODEL_INDEX_FILE: 64 << 20,
    GENERATION_CONFIG_FILE: SIDE_FILES[GENERATION_CONFIG_FILE],
    TOKENIZER_FILE: 256 << 20,
    TOKENIZER_CONFIG_FILE: SIDE_FILES[TOKENIZER_CONFIG_FILE],
    "special_tokens_map.json": 1 << 20,
    ADDED_TOKENS_FILE: SIDE_FILES[ADDED_TOKENS_FILE],
    "vocab.json": 64 << 20,
    "merges.txt": 64 << 20,
    "tokenizer.model": 64 << 20,
    TEMPLATE_FILE: SIDE_FILES[TEMPLATE_FILE],
    TEMPLATE_JSON_FILE: SIDE_FILES[TEMPLATE_JSON_FILE],
    "preprocessor_config.json": 1 << 20,
}
"""Every file of a model besides its weights, and the bytes beyond which it is refused."""

_CHUNK = 1 << 20


def is_whole_model(names: Collection[str]) -> bool:
    """Return whether a folder with these files holds a whole model, and no adapter."""
    if CONFIG_FILE in names or WEIGHTS_FILE in names or MODEL_CONFIG_FILE not in names:
        return False
    return MODEL_WEIGHTS_FILE in names or MODEL_INDEX_FILE in names


def model_files_in(folder: Path) -> tuple[str, ...]:
    """Return the names of a whole model's files, sorted; none if the folder holds no such model.

    What the folder says of the model's use, `lorabay.toml`, is among them. Raises OSError if it
    cannot be listed.
    """
    names = {path.name for path in folder.iterdir()}
    own = _model_files(names)
    return (*own, SETTINGS_FILE) if own and SETTINGS_FILE in names else own


def copy_model(
    folder: Path, target: Path, *, roots: tuple[Path, ...], read: FolderRead | None = None
) -> str | Rejected:
    """Copy a model's files into `target`, each exactly as it was at one moment.

    Return the sha256, in hex, of their names and bytes: every byte is read once, and hashed on its
    way. All are taken from the one folder that `folder` led to when it was opened. Neither hard
    links nor shared blocks take the place of the copy: the source may be written in place, and its
    bytes have to be read anyway. Raises OSError for errors of writing, and Stopped when `read` is
    to end.
    """
    read = read or FolderRead()
    try:
        with open_folder(folder, roots, read) as place:
            with read.waiting():
                names = _model_files(
                    {path.name for path in Path(f"/proc/self/fd/{place}").iterdir()}
                )
                size = sum(os.stat(name, dir_fd=place).st_size for name in names)
            _check_room(target, size)
            return _Copying(folder, place, target, roots, read).all(names)
    except Unreadable as problem:
        return rejected([problem.reason])
    except FileNotFoundError:
        return rejected([Reason("changed_while_read", "the folder is still being written")])


class _Copying:
    """The copy of one folder, which is open as `place`."""

    def __init__(
        self, folder: Path, place: int, target: Path, roots: tuple[Path, ...], read: FolderRead
    ) -> None:
        self._folder = folder
        self._place = place
        self._target = target
        self._roots = roots
        self._read = read
        self._hash = hashlib.sha256()

    def all(self, names: Collection[str]) -> str:
        """Copy the files of these names; return the digest of all."""
        for name in names:
            self._copy(name)
        return self._hash.hexdigest()

    def _copy(self, name: str) -> None:
        # Weights may be as large as the disk: what they need of it was asked before.
        limit = SMALL_FILES.get(name, 1 << 62)
        source = open_source(
            self._folder / name, limit, roots=self._roots, place=self._place, read=self._read
        )
        with source as file, (self._target / name).open("xb") as copy:
            before = os.fstat(file.fileno())
            # The size comes first, so that two different folders never feed the same bytes.
            self._hash.update(json.dumps([name, before.st_size]).encode() + b"\n")
            while True:
                with self._read.waiting():
                    chunk = read_bytes(file, _CHUNK)
                if not chunk or copy.tell() > before.st_size:
                    break
                self._hash.update(chunk)
                copy.write(chunk)
            check_unchanged(file, before, copy.tell())
        self._read.note(before)


def _model_files(names: Collection[str]) -> tuple[str, ...]:
    if not is_whole_model(names):
        return ()
    return tuple(
        sorted(name for name in names if name in SMALL_FILES or MODEL_WEIGHTS.fullmatch(name))
    )


def _check_room(target: Path, size: int) -> None:
    free = shutil.disk_usage(target).free
    if free < size:
        raise Unreadable(
            "store_full", f"the model of {size} bytes is copied to be stored; {free} are free"
        )
