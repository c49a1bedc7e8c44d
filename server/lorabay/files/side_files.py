"""The files of an adapter folder besides config and weights that say how the adapter is used.

All are optional, and small but for `tokenizer.json`, of which only the head is looked at. Each must
be a regular file inside the allowed roots, like config and weights. Knows nothing of what they say.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.files.adapter_folder import Unreadable, open_source, read_bytes
from lorabay.files.folder_read import FolderRead

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from lorabay.reasons import Reason

SETTINGS_FILE = "lorabay.toml"
TEMPLATE_FILE = "chat_template.jinja"
TEMPLATE_JSON_FILE = "chat_template.json"
TOKENIZER_CONFIG_FILE = "tokenizer_config.json"
GENERATION_CONFIG_FILE = "generation_config.json"
ADDED_TOKENS_FILE = "added_tokens.json"
TOKENIZER_FILE = "tokenizer.json"
MODEL_CONFIG_FILE = "config.json"

HEAD_BYTES = 4 << 20
"""Bytes of `tokenizer.json` that are looked at: its added tokens come before its vocabulary."""

SIDE_FILES = {
    SETTINGS_FILE: 1 << 16,
    TEMPLATE_FILE: 1 << 18,
    TEMPLATE_JSON_FILE: 1 << 18,
    TOKENIZER_CONFIG_FILE: 8 << 20,
    GENERATION_CONFIG_FILE: 1 << 18,
    ADDED_TOKENS_FILE: 8 << 20,
    TOKENIZER_FILE: 1 << 30,
    MODEL_CONFIG_FILE: 1 << 20,
}
"""Every side file, and the bytes beyond which it is refused.

The longest templates of public models have 20 kB; configs that list thousands of tokens have one
megabyte.
"""

_ANYWHERE = (Path("/"),)


def side_files_in(folder: Path) -> tuple[str, ...]:
    """Return the names of the side files that there may be, in their order.

    One listing: on some file systems each question for a file that is not there is a request. All
    of them for a folder that may be entered and not listed. Raises OSError.
    """
    try:
        with os.scandir(folder) as listing:
            names = {entry.name for entry in listing}
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except PermissionError:
        return tuple(SIDE_FILES)
    return tuple(name for name in SIDE_FILES if name in names)


def copy_side_files(
    folder: Path,
    target: Path,
    *,
    roots: tuple[Path, ...],
    read: FolderRead | None = None,
    names: Collection[str] = tuple(SIDE_FILES),
) -> Iterator[Reason]:
    """Copy the side files that `folder` has into `target`; yield what is wrong with each.

    Only those in `names` count. Raises OSError for errors of writing.
    """
    for name in _asked_for(folder, read or FolderRead()):
        if name not in names:
            continue
        try:
            content = read_side_file(folder, name, roots=roots, read=read)
        except Unreadable as problem:
            # Of a model's config only a warning ever comes.
            if name != MODEL_CONFIG_FILE:
                yield problem.reason
            continue
        if content is not None:
            (target / name).write_bytes(content)


def _asked_for(folder: Path, read: FolderRead) -> tuple[str, ...]:
    """Return the names of the side files that are worth asking for."""
    try:
        with read.waiting():
            return side_files_in(folder)
    except OSError:
        return tuple(SIDE_FILES)  # the files will say what is wrong


def read_side_file(
    folder: Path,
    name: str,
    *,
    roots: tuple[Path, ...] = _ANYWHERE,
    read: FolderRead | None = None,
) -> bytes | None:
    """Return the content of a side file, or its head; None if there is no such file.

    Raises Unreadable if it is not a regular file inside `roots`, is too large or a link to nowhere,
    or a disk fails.
    """
    read = read or FolderRead()
    limit = SIDE_FILES[name]
    try:
        with open_source(folder / name, limit, roots=roots, read=read) as file:
            opened = os.fstat(file.fileno())
            with read.waiting():
                content = read_bytes(file, HEAD_BYTES if name == TOKENIZER_FILE else limit)
    except Unreadable as problem:
        is_absent = isinstance(problem.__cause__, FileNotFoundError | NotADirectoryError)
        if is_absent and problem.reason.code != "link_broken":
            return None
        raise
    read.note(opened)
    return content
