"""The bases that PEFT's adapters are made for, once for all tests of formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import peft_adapters

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama whose head and embedding are not tied."""
    return peft_adapters.make_base(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GPT-2, whose linear layers are stored transposed."""
    return peft_adapters.make_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny")
