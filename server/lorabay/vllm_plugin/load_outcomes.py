"""What became of a load, as a value: an exception loses its type on its way out of a worker.

A load that fails says something of the weights (a shape, a value, a config that the engine does not
take) or of the machine (a disk, memory). The first is for good, the second passes, and only the
worker that raised can tell them apart. Knows nothing of what the server does about either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from safetensors import SafetensorError

LOADED, REFUSED, FAILED = "loaded", "refused", "failed"
"""Outcomes: the engine holds the adapter; it does not take these weights; something else went wrong
and may be well again."""

# The store checked the file when it was written: one that cannot be read now has been damaged.
MACHINE_ERRORS = (
    OSError,
    MemoryError,
    torch.OutOfMemoryError,
    torch.AcceleratorError,
    SafetensorError,
)

NO_HOST_MEMORY = "can't allocate memory"
"""What PyTorch's allocator on a CPU says in a bare RuntimeError."""

logger = logging.getLogger(__name__)


def outcome_of(load: Callable[[], bool]) -> tuple[str, str]:
    """Load an adapter; return the outcome, and the reason if it is not loaded."""
    try:
        loaded = load()
    except Exception as error:
        outcome, reason = REFUSED, _first_line(error)
        if any(map(_is_of_the_machine, _chain(error))):
            outcome, reason = FAILED, _without_paths(error)
        logger.warning("an adapter was not loaded", exc_info=error)
        return outcome, reason

    return (LOADED, "") if loaded else (REFUSED, "the engine did not take it")


def _is_of_the_machine(error: BaseException) -> bool:
    if isinstance(error, MACHINE_ERRORS):
        return True
    return type(error) is RuntimeError and NO_HOST_MEMORY in str(error)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, and each one that it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _without_paths(error: BaseException) -> str:
    """Return a reason that clients may see: what the system says, or the kind of the error."""
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return type(error).__name__


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
