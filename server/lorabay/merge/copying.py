"""Bytes from one open file to another, inside the kernel where it can do that."""

from __future__ import annotations

import errno
import os

from lorabay.errors import SetupError

_CANNOT = {errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF}
_CHUNK = 1 << 20


def copy_range(source: int, start: int, target: int, to: int, count: int) -> None:
    """Copy `count` bytes between two places. Raises OSError, and SetupError when `source` ends
    early.
    """
    while count:
        try:
            copied = os.copy_file_range(source, target, count, start, to)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            copied = os.pwrite(target, os.pread(source, min(count, _CHUNK), start), to)
        if not copied:
            raise SetupError(
                "a weights file of the base became shorter while it was read; nothing was finished"
            )
        start, to, count = start + copied, to + copied, count - copied
