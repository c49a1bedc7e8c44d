"""A stretch of a test as a user who may not do everything: root may read and write everything."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def as_nobody(folder: Path, *own: Path) -> Iterator[None]:
    """Be a user who owns `folder` itself, but nothing in it but what is below `own`.

    Whoever runs the tests without being root stays who they are: what they made unreadable is so to
    them.
    """
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *own, *(path for top in own for path in top.rglob("*"))):
        shutil.chown(path, NOBODY)
    for parent in folder.parents:
        if not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
