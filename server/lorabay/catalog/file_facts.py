"""What one listing of an adapter folder says of its files: enough to see that nothing has changed.

Cheap on purpose: a server looks at thousands of folders every few seconds, and almost all of them
are as they were. Any difference, real or not, only makes it look more closely. Knows nothing of
what follows from a change.
"""

from __future__ import annotations

import os

from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.files.side_files import SIDE_FILES

Facts = tuple[tuple[str, int, int, int, int], ...]
"""Of each file its name, inode, size, modification time and change time, as they were listed."""

_FILES = frozenset((CONFIG_FILE, WEIGHTS_FILE, *SIDE_FILES))


def facts_of(folder: os.DirEntry[str]) -> Facts | None:
    """Return the facts of the files in a folder.

    None for a link, which may lead elsewhere without a change of any file, and for a folder that
    lacks config or weights: a composite is made of other folders, too. Raises OSError.
    """
    if not folder.is_dir(follow_symlinks=False):
        return None

    facts: list[tuple[str, int, int, int, int]] = []
    names: set[str] = set()
    with os.scandir(folder.path) as listing:
        for entry in listing:
            if entry.name not in _FILES:
                continue
            names.add(entry.name)
            file = entry.stat()
            facts.append(
                (entry.name, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns)
            )
    return tuple(facts) if CONFIG_FILE in names and WEIGHTS_FILE in names else None
