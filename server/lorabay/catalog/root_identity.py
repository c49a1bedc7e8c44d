"""Which directory a path leads to now: the same one, another, or what a volume left behind.

Knows nothing of what the directory holds.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class RootIdentity:
    """A directory as it was found.

    `real` is its path without links, and `device` and `inode` are its own. `mount` is the number of
    the mount that it lies on (0 where the system does not tell), and `mount_point` where that is
    mounted.
    """

    real: Path
    device: int
    inode: int
    mount: int
    mount_point: Path

    def replaces(self, before: RootIdentity) -> bool:
        """Return whether this directory lies where `before` lay, and is another.

        A link that was made to lead elsewhere replaces nothing: whoever made it wants what is
        there.
        """
        return self != before and self.real == before.real

    def is_left_by(self, before: RootIdentity) -> bool:
        """Return whether `before` lay on a volume, and this is what lies below that."""
        is_higher = len(self.mount_point.parts) < len(before.mount_point.parts)
        return self.replaces(before) and is_higher


def identify(root: Path) -> RootIdentity:
    """Return what `root` is now. Raises SetupError if it is no directory that can be looked at."""
    try:
        real = root.resolve(strict=True)
        device, inode, mount = _facts(real)
        return RootIdentity(real, device, inode, mount, _mount_point(real))
    except (OSError, RuntimeError) as error:  # RuntimeError: a link that leads to itself
        reason = getattr(error, "strerror", None) or error
        raise SetupError(f"the adapter directory {root} cannot be listed: {reason}") from error


def _mount_point(folder: Path) -> Path:
    """Return the highest folder above that lies on the same mount."""
    device, _, mount = _facts(folder)
    while folder != folder.parent:
        device_above, _, mount_above = _facts(folder.parent)
        # A bind mount may have the device of what lies around it, but it is a mount of its own.
        if (device_above, mount_above) != (device, mount):
            break
        folder = folder.parent
    return folder


def _facts(folder: Path) -> tuple[int, int, int]:
    """Return device, inode and number of the mount of a folder."""
    with _opened(folder) as descriptor:
        status = os.fstat(descriptor)
        return status.st_dev, status.st_ino, _mount(descriptor)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _mount(descriptor: int) -> int:
    """Return the number of the mount that an open file lies on; 0 if the system does not tell."""
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    numbers = [line.split(":")[1] for line in lines if line.startswith("mnt_id:")]
    return int(numbers[0]) if numbers else 0
