"""An adapter is opened as far as it can be read: with its updates, as a misfit, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.tools.find_adapter import ChosenAdapter
from lorabay.tools.inspection.opened import Misfit, Opened, open_adapter, readable
from tests import peft_adapters


@pytest.fixture
def lora(made: Callable[..., peft_adapters.Made]) -> ChosenAdapter:
    return ChosenAdapter.at(made("lora").folder)


def of_a_new_type(adapter: ChosenAdapter) -> None:
    path = adapter.folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"peft_type": "NOVEL"}))


def test_an_adapter_that_fits(base: Path, lora: ChosenAdapter) -> None:
    """Its updates are known, and it is readable."""
    opened = open_adapter(lora, base)
    assert isinstance(opened, Opened)
    assert opened.updates.format == "lora"
    assert readable(opened) is opened


def test_an_adapter_that_does_not_fit(base: Path, lora: ChosenAdapter) -> None:
    """Config and header are known; with every reason it is refused where updates are needed."""
    of_a_new_type(lora)
    opened = open_adapter(lora, base)
    assert isinstance(opened, Misfit)
    assert opened.config["peft_type"] == "NOVEL"
    assert opened.tensors
    with pytest.raises(SetupError, match="cannot be inspected: peft_type 'NOVEL' is unknown"):
        readable(opened)


def test_an_adapter_that_cannot_be_read(base: Path, lora: ChosenAdapter) -> None:
    """Without a header there is nothing to show."""
    of_a_new_type(lora)
    (lora.folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(SetupError, match="cannot be inspected: "):
        open_adapter(lora, base)
