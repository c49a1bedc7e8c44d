"""What a config says beyond a trainer's formula is never passed over."""

from __future__ import annotations

import pytest

from lorabay.formats.trainers.peft_fields import formula_problems


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("use_rslora", True, "config_field"),
        ("use_rslora", "true", "config_field"),
        ("use_dora", True, "config_field"),
        ("alpha_pattern", {"q_proj": 3}, "config_field"),
        ("rank_pattern", {"q_proj": 3}, "config_field"),
        ("init_lora_weights", "pissa", "init_changed_base"),
        ("use_qalora", True, "qalora"),
    ],
)
def test_a_field_that_changes_the_formula_is_named(field: str, value: object, code: str) -> None:
    """Unless the trainer has it."""
    (problem,) = formula_problems({field: value}, "Tinker")
    assert problem.code == code
    assert field in problem.text
    if code == "config_field":
        assert [*formula_problems({field: value}, "Tinker", read=(field,))] == []


def test_fields_that_say_nothing_are_no_problem() -> None:
    """Templates write them with their defaults."""
    config: dict[str, object] = {
        "r": 8,
        "use_rslora": None,
        "use_dora": False,
        "alpha_pattern": {},
        "rank_pattern": None,
        "init_lora_weights": True,
    }
    assert [*formula_problems(config, "Tinker")] == []
