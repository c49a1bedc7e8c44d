"""Archives whose bytes are not what they seem: whatever a library raises for them is one failure.

Knows nothing of how archives are packed.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lorabay.errors import LorabayError

if TYPE_CHECKING:
    from collections.abc import Iterator


class Damaged(Exception):
    """An archive cannot be read: its bytes are not what they seem."""


@contextmanager
def parsing() -> Iterator[None]:
    """Have whatever a library raises for a stranger's bytes be Damaged.

    They may take it anywhere, so no list of its exceptions is whole. An expected failure, a disk
    that refuses and a lack of memory stay what they are.
    """
    try:
        yield
    except (LorabayError, Damaged, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and _is_of_the_disk(error):
            raise
        raise Damaged(str(error) or type(error).__name__) from error


def _is_of_the_disk(error: OSError) -> bool:
    """Return whether the disk refuses. What gzip raises has no number, and a place before the
    beginning of a file, which only an archive can ask for, has that of a wrong argument.
    """
    return error.errno not in (None, errno.EINVAL)
