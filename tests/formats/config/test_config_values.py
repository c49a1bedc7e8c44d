"""Loosely typed values mean what they look like, or are left for the format to refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.formats.config.config_values import normalised
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.formats.merged import check_equal
from tests.peft_adapters import ATTENTION

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("field", "value", "meant"),
    [
        ("r", "16", 16),
        ("r", 16.0, 16),
        ("r", " 8 ", 8),
        ("lora_alpha", "32", 32),
        ("lora_alpha", "0.5", 0.5),
        ("lora_alpha", "1e1", 10),
        ("lora_dropout", "0.05", 0.05),
        ("rank_pattern", {"q_proj": "8", "v_proj": 4.0}, {"q_proj": 8, "v_proj": 4}),
        ("layers_to_transform", ["0", 1.0], [0, 1]),
        ("layers_to_transform", "1", 1),
        ("use_rslora", 1, True),
        ("use_rslora", 0, False),
        ("use_rslora", "True", True),
        ("use_rslora", None, False),
        ("use_dora", "true", True),
        ("save_projection", 0, False),
        ("init_lora_weights", "false", False),
        ("init_lora_weights", 1, True),
        ("bias", None, "none"),
        ("peft_type", "lora", "LORA"),
        ("peft_type", "PeftType.LORA", "LORA"),
        ("peft_type", "AdaLora", "ADALORA"),
    ],
)
def test_a_value_that_can_mean_one_thing_means_it(field: str, value: object, meant: object) -> None:
    """In the type that PEFT's own config has."""
    changed = normalised({field: value, "other": "16"})
    assert changed == {field: meant, "other": "16"}
    assert type(changed[field]) is type(meant)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("r", "sixteen"),
        ("r", 16.5),
        ("r", "0x10"),
        ("r", True),
        ("r", None),
        ("r", ["16"]),
        ("r", "9" * 5000),
        ("lora_alpha", "nan"),
        ("lora_alpha", 1e300),
        ("use_rslora", "false"),
        ("use_rslora", "yes"),
        ("use_rslora", 2),
        ("init_lora_weights", "gaussian"),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"init": [True, False]}),
        ("target_modules", "q_proj"),
        ("save_projection", None),
        ("peft_type", None),
        ("peft_type", ["LORA"]),
        ("peft_type", "a lora"),
    ],
)
def test_any_other_value_stays(field: str, value: object) -> None:
    """A text for false too: whoever wrote it means false, and PEFT trained with true."""
    assert normalised({field: value}) == {field: value}


LOOSE: list[dict[str, object]] = [
    {"r": "4", "lora_alpha": "8"},
    {"r": 4.0, "lora_alpha": 8.0, "lora_dropout": "0.0"},
    {"use_rslora": None, "use_dora": 0, "lora_bias": None, "fan_in_fan_out": 0, "bias": None},
    {"target_modules": None, "modules_to_save": None, "rank_pattern": None, "alpha_pattern": None},
    {"target_modules": r".*\.(q|v)_proj", "exclude_modules": None, "layers_pattern": None},
    {"init_lora_weights": "true", "inference_mode": "true", "loftq_config": None},
    {"some_new_config": None, "some_new_flag": False, "some_new_list": [], "some_new_number": 0},
    {"rank_pattern": {"q_proj": "4"}, "alpha_pattern": {"q_proj": "8.0"}},
    {"peft_type": "PeftType.LORA", "task_type": "TaskType.CAUSAL_LM"},
]


@pytest.mark.parametrize("fields", LOOSE, ids=",".join)
def test_a_loosely_typed_adapter_is_served_and_merged_like_the_original(
    fields: dict[str, object], llama: Path, tmp_path: Path
) -> None:
    """PEFT saved it, and a trainer's template wrote the config anew; nothing is said of it."""
    made = peft_adapters.make(
        llama, tmp_path / "a", lambda: peft_adapters.lora(target_modules=ATTENTION)
    )
    checks = Checks(BaseShapes.read(llama), max_rank=16)
    before = validate(made.folder, checks)
    path = made.folder / "adapter_config.json"
    text = json.dumps(json.loads(path.read_text()) | fields)
    path.write_text(text, encoding="utf-8-sig")

    spec = validate(made.folder, checks)
    assert isinstance(before, AdapterSpec), before
    assert isinstance(spec, AdapterSpec), spec
    assert (spec.digest, spec.warnings) == (before.digest, ())
    found = read_updates(made.folder, BaseShapes.read(llama))
    assert isinstance(found, AdapterUpdates), found
    check_equal(found, llama, made.merged())


@pytest.mark.parametrize(
    "fields", [{"r": "four"}, {"lora_alpha": [8]}, {"use_rslora": "false"}, {"target_modules": 7}]
)
def test_a_value_that_means_nothing_is_refused_by_the_name_of_its_field(
    fields: dict[str, object], llama: Path, tmp_path: Path
) -> None:
    """For serving and for merging alike."""
    made = peft_adapters.make(llama, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    path = made.folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    base = BaseShapes.read(llama)
    for result in (validate(made.folder, Checks(base, 16)), read_updates(made.folder, base)):
        assert isinstance(result, Rejected)
        assert result.codes == {"config_field"}
        assert f": {next(iter(fields))}" in result.line
