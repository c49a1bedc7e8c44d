"""Fields, patterns and target modules mean what they mean to PEFT."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from lorabay.base.shapes import BaseShapes
from lorabay.formats.config_fields import (
    FIELDS,
    Alpha,
    Rank,
    coverage_problems,
    parse,
    pattern_problems,
    pattern_value,
)
from lorabay.reasons import Rejected

MODULE = "model.layers.1.self_attn.q_proj"
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


def test_each_field_of_a_wrong_type_is_a_reason() -> None:
    """All of them are reported, by name; other fields are ignored."""
    assert parse(Fields, {"r": 4, "alpha": 2, "strange": 1}) == Fields(r=4, alpha=2.0)
    result = parse(Fields, {"r": 0, "alpha": "2"})
    assert isinstance(result, Rejected)
    assert result.codes == {"config_field"}
    assert [reason.text.split(": ")[1] for reason in result.reasons] == ["r", "alpha"]


@pytest.mark.parametrize(
    ("key", "matches"),
    [
        ("q_proj", True),
        ("self_attn.q_proj", True),
        (f"^{MODULE}", True),
        ("^q_proj", False),
        ("proj", False),
        ("k_proj", False),
    ],
)
@pytest.mark.parametrize("trusted", [True, False])
def test_a_key_names_a_module_or_an_end_of_it(key: str, matches: bool, trusted: bool) -> None:
    """Plain names mean the same whether or not they are evaluated as expressions."""
    assert pattern_value({key: 3}, MODULE, trusted=trusted) == (3 if matches else None)


def test_expressions_are_evaluated_only_when_they_are_trusted() -> None:
    """One from an unknown author could keep a core busy for hours."""
    assert pattern_value({r".*\.\d\..*proj": 5}, MODULE, trusted=True) == 5
    assert pattern_value({r".*\.\d\..*proj": 5}, MODULE) is None
    assert [reason.code for reason in pattern_problems(["(a+)+$"], trusted=False)] == ["pattern"]
    assert list(pattern_problems(["(a+)+$"], trusted=True)) == []
    assert "expression" in next(pattern_problems(["(a"], trusted=True)).text


def test_the_first_key_that_matches_counts() -> None:
    """PEFT takes them in the order of the config."""
    assert pattern_value({"self_attn.q_proj": 1, "q_proj": 2}, MODULE) == 1
    assert pattern_value({"q_proj": 2, "self_attn.q_proj": 1}, MODULE) == 2


@pytest.mark.parametrize(
    ("present", "config", "codes"),
    [
        (["layers.0.q_proj"], {"target_modules": ["q_proj"]}, []),
        (["layers.0.q_proj"], {"target_modules": ["q_proj", "v_proj"]}, ["missing_tensor"]),
        (["layers.0.v_proj"], {"target_modules": ["q_proj"], "layers_pattern": "x"}, STRAY),
        ([], {"target_modules": ["q_proj"], "layers_to_transform": [1]}, []),
        ([], {"target_modules": ["q_proj"], "exclude_modules": "x"}, []),
        ([], {"target_modules": "all-linear"}, []),
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
