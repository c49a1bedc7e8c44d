"""Pauses of Python's garbage collector, which holds up every request while it looks at all objects.

A gateway that has imported vLLM holds 700,000 objects, nearly all of which stay until it ends. To
look at them takes about a second, and more requests at once make it happen more often.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def put_off() -> Iterator[None]:
    """Have the collector look at nothing while the block lasts, in which hardly anything goes.

    While vLLM is imported it would look at everything a dozen times, which takes seconds.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def set_aside() -> None:
    """Have the collector look no more at what is alive now; takes about a second, once.

    Called again after a restart, it takes away first what the former engine has left behind.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()
