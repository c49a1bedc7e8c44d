"""Fields and target modules mean what they mean to PEFT."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from lorabay.base.shapes import BaseShapes
from lorabay.formats.config.config_fields import (
    FIELDS,
    Alpha,
    Listed,
    Named,
    Rank,
    coverage_problems,
    parse,
)
from lorabay.reasons import Rejected

STRAY = ["unexpected_tensor"]
BASE = BaseShapes(
    dict.fromkeys(("layers.0.q_proj", "layers.0.v_proj", "embed_tokens", "lm_head"), (4, 4)),
    ("tiny",),
    None,
    tied=True,
)


class Fields(BaseModel):
    model_config = FIELDS

    r: Rank
    alpha: Alpha = 1.0
    ranks: Named[Rank] = {}
    names: Listed[str] = []
    numbers: list[int] = []


def test_each_field_of_a_wrong_type_is_a_reason() -> None:
    """All of them are reported, by name; other fields are ignored."""
    assert parse(Fields, {"r": 4, "alpha": 2, "strange": 1}) == Fields(r=4, alpha=2.0)
    result = parse(Fields, {"r": 0, "alpha": "2"})
    assert isinstance(result, Rejected)
    assert result.codes == {"config_field"}
    assert [reason.text.split(": ")[1] for reason in result.reasons] == ["r", "alpha"]


@pytest.mark.parametrize("field", ["ranks", "names"])
def test_the_first_wrong_element_is_told(field: str) -> None:
    """A file has room for a million of them; those before it are right, and named."""
    values = {"ranks": {"a": 1, "b": 0, "c": 0}, "names": ["a", 0, 0]}
    result = parse(Fields, {"r": 4, field: values[field]})
    assert isinstance(result, Rejected)
    (reason,) = result.reasons
    assert f"{field}.{'b' if field == 'ranks' else 1}: " in reason.text
    found = parse(Fields, {"r": 4, "ranks": {"a": 1, "b": 2}, "names": ["a", "b"]})
    assert found == Fields(r=4, ranks={"a": 1, "b": 2}, names=["a", "b"])


def test_many_wrong_values_are_counted() -> None:
    """Each would take a thousand times its bytes."""
    result = parse(Fields, {"r": 4, "numbers": [""] * 5000})
    assert isinstance(result, Rejected)
    assert [reason.text for reason in result.reasons] == [
        "adapter_config.json: 5000 values are of a wrong type"
    ]


@pytest.mark.parametrize("key", ["\ud83d", "\x1b[2J", "a\nb", "x" * 5000])
def test_a_key_of_a_stranger_is_quoted(key: str) -> None:
    """It may be no text that a response can hold, or one that commands a terminal."""
    result = parse(Fields, {"r": 4, "ranks": {key: 0}})
    assert isinstance(result, Rejected)
    (reason,) = result.reasons
    assert reason.text.isascii()
    assert reason.text.isprintable()
    assert len(reason.text) < 300


@pytest.mark.parametrize(
    ("present", "config", "codes"),
    [
        (["layers.0.q_proj"], {"target_modules": ["q_proj"]}, []),
        (["layers.0.q_proj"], {"target_modules": ["q_proj", "v_proj"]}, ["missing_tensor"]),
        (["layers.0.v_proj"], {"target_modules": ["q_proj"], "layers_pattern": "x"}, STRAY),
        ([], {"target_modules": ["q_proj"], "layers_to_transform": [1]}, []),
        ([], {"target_modules": ["q_proj"], "exclude_modules": "x"}, []),
        ([], {"target_modules": "all-linear"}, []),
        (["lm_head"], {"target_modules": []}, []),
        (["lm_head"], {"target_modules": None}, []),
        ([], {"target_modules": ["lm_head"]}, []),
        (["lm_head"], {"target_modules": ["x"]}, STRAY),
        (["lm_head"], {"target_modules": ["x"], "ensure_weight_tying": True}, []),
    ],
)  # fmt: skip
def test_modules_with_tensors_are_those_that_are_targets(
    present: list[str], config: dict[str, object], codes: list[str]
) -> None:
    """Lists are compared; expressions, restrictions and tied heads are left to the tensors."""
    assert [reason.code for reason in coverage_problems(config, present, BASE)] == codes
