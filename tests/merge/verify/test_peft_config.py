"""PEFT is given the config that everything else goes by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import peft
import pytest

from lorabay.merge.verify.peft_config import peft_config
from tests import making

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore:Unexpected keyword arguments")
def test_a_loosely_typed_config_is_pefts(tmp_path: Path) -> None:
    """With a byte order mark, numbers as text, a type as Python prints it, and a later field."""
    folder = making.make_adapter(tmp_path / "a")
    path = folder / "adapter_config.json"
    fields = {"peft_type": "PeftType.LORA", "task_type": "TaskType.CAUSAL_LM", "r": "4",
              "lora_alpha": "8.0", "use_rslora": 1, "of_next_year": True}  # fmt: skip
    text = json.dumps(json.loads(path.read_text()) | fields)
    path.write_text(text, encoding="utf-8-sig")

    config = peft_config(folder)
    assert isinstance(config, peft.LoraConfig)
    assert (config.r, config.lora_alpha, config.use_rslora) == (4, 8, True)
    assert config.task_type == peft.TaskType.CAUSAL_LM
    assert path.read_text(encoding="utf-8-sig") == text


def test_a_config_that_is_none_is_an_expected_failure(tmp_path: Path) -> None:
    """The line names the file."""
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(ValueError, match=r"adapter_config\.json is not a JSON object"):
        peft_config(tmp_path)
