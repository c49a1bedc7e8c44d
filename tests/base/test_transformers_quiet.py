"""transformers is quiet inside the block, and as before after it."""

from __future__ import annotations

import pytest
from transformers.utils import logging

from lorabay.base.transformers_quiet import quiet_transformers


def test_the_callers_settings_come_back() -> None:
    """The block has errors only and no bars; after it, even after a failure, all is as before."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    inside = []

    def fail() -> None:
        inside.append((logging.get_verbosity(), logging.is_progress_bar_enabled()))
        raise KeyError

    with pytest.raises(KeyError), quiet_transformers():
        fail()
    assert inside == [(logging.ERROR, False)]
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)
