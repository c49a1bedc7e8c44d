"""Silence from transformers and its friends, while one of our progress bars is on the terminal."""

from __future__ import annotations

import logging as python_logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from transformers.utils import logging

if TYPE_CHECKING:
    from collections.abc import Iterator

_FRIEND = "bitsandbytes"
"""A library that PEFT imports where it is installed, and that tells of kernels it does not have."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Let transformers log errors only, and show neither bars nor warnings, inside the block."""
    level = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()

    friend = python_logging.getLogger(_FRIEND)
    friends_level = friend.level

    friend.setLevel(python_logging.ERROR)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        friend.setLevel(friends_level)
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()
