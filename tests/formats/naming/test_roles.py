"""The adapter's name in PEFT is told apart from the parts of a role."""

from __future__ import annotations

import pytest

from lorabay.formats.naming.roles import (
    adapter_name,
    is_factor,
    lack_their_ends,
    with_its_end,
    without_adapter,
)


@pytest.mark.parametrize(
    ("roles", "name"),
    [
        (["lora_A.default.weight", "lora_B.default.weight"], "default"),
        (["lora_A.weight", "lora_B.weight"], None),
        (["lora_A.one.weight", "lora_B.two.weight"], None),
        (["lora_A.default.weight", "lora_B.weight"], None),
        (["modules_to_save.policy.weight", "weight"], "policy"),
        (["lora_embedding_A.default"], "default"),
        (["ranknum"], None),
        (["oft_R.0.weight"], None),
        (["weight"], None),
        ([], None),
    ],
)
def test_a_name_that_all_roles_share_is_the_adapters(roles: list[str], name: str | None) -> None:
    """A number is a place in a list; roles without a factor say nothing."""
    assert adapter_name(roles) == name


@pytest.mark.parametrize(
    ("role", "adapter", "plain"),
    [
        ("lora_A.default.weight", "default", "lora_A.weight"),
        ("lora_A.weight", None, "lora_A.weight"),
        ("lora_A.default.default.weight", "default", "lora_A.weight"),
        ("default.lora_A.default.weight", "default", "default.lora_A.weight"),
        ("lora_magnitude_vector.default.weight", "default", "lora_magnitude_vector"),
        ("lora_magnitude_vector.weight", None, "lora_magnitude_vector"),
        ("weight", "weight", "weight"),
        ("", None, ""),
    ],
)
def test_the_name_is_left_out_behind_what_holds_it(
    role: str, adapter: str | None, plain: str
) -> None:
    """The same word elsewhere is part of the role."""
    assert without_adapter(role, adapter) == plain


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("lora_A.weight", True),
        ("ia3_l", True),
        ("weight", False),
        ("modules_to_save.weight", False),
    ],
)
def test_a_factor_is_told_from_a_whole_tensor(role: str, expected: bool) -> None:
    """What replaces a module is no factor."""
    assert is_factor(role) is expected


def test_loralibs_names_get_pefts_ends() -> None:
    """Those of AdaLoRA have none in PEFT, either, and stay."""
    assert lack_their_ends(["lora_A", "lora_B"])
    assert not lack_their_ends(["lora_A", "lora_B", "lora_E", "ranknum"])
    assert not lack_their_ends(["lora_A.weight", "lora_B.weight"])
    assert [with_its_end(role) for role in ("lora_A", "weight")] == ["lora_A.weight", "weight"]
