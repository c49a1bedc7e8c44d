"""Tensors are sorted by module and role, and every stray one is named."""

from __future__ import annotations

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.files.safetensors_header import TensorInfo
from lorabay.formats.tensor_names import PREFIX, by_module, missing_roles, product_problems
from lorabay.reasons import Reason

BASE = BaseShapes(
    dict.fromkeys(("model.layers.0.q_proj", "model.layers.0.v_proj"), (4, 3)),
    ("tiny",),
    None,
    tied=True,
)


def info(name: str, dtype: str = "F32") -> TensorInfo:
    return TensorInfo(name, dtype, (4,), 0, 16)


def test_tensors_are_sorted_by_module_and_role() -> None:
    """Modules come in order, each with its tensors by role."""
    names = [f"{PREFIX}model.layers.0.{rest}" for rest in ("v_proj.b", "q_proj.a.x", "q_proj.b")]
    result = by_module(map(info, names), ("a.x", "b"), BASE)
    assert result.problems == ()
    assert [(module, sorted(roles)) for module, roles in result.modules.items()] == [
        ("model.layers.0.q_proj", ["a.x", "b"]),
        ("model.layers.0.v_proj", ["b"]),
    ]


@pytest.mark.parametrize(
    ("tensor", "code"),
    [
        (info(f"{PREFIX}model.layers.0.q_proj.c"), "unexpected_tensor"),
        (info(f"{PREFIX}model.layers.9.q_proj.b"), "module_not_in_base"),
        (info("model.layers.0.q_proj.b"), "module_not_in_base"),
        (info(f"{PREFIX}language_model.layers.0.q_proj.b"), "module_not_in_base"),
        (info(f"{PREFIX}model.layers.0.q_proj.b", "I32"), "dtype"),
    ],
)
def test_every_stray_tensor_is_named(tensor: TensorInfo, code: str) -> None:
    """A wrong role, module, prefix or dtype is reported with the tensor's name."""
    (problem,) = by_module([tensor], ("b",), BASE).problems
    assert problem.code == code
    assert tensor.name in problem.text


def test_no_tensors_are_a_problem_too() -> None:
    """An adapter without any would do nothing; the commonest cause is named."""
    (problem,) = by_module([], ("b",), BASE).problems
    assert problem.code == "no_tensors"
    assert "ZeRO-3" in problem.text


def test_a_format_may_explain_strange_tensors_itself() -> None:
    """A format may know more about the origin of its tensors."""
    strange = info(f"{PREFIX}x.y")
    result = by_module([strange], ("b",), BASE, lambda tensor: Reason("mine", tensor.name))
    assert result.problems == (Reason("mine", strange.name),)


def test_roles_and_shapes_are_checked() -> None:
    """Missing roles are listed once for a module; a packed weight fits any shape."""
    (missing,) = missing_roles("q", {"a": info("a")}, ("a", "b", "c"))
    assert "['b', 'c']" in missing.text
    assert [reason.code for reason in product_problems("q", 4, 2, (4, 3))] == ["shape"]
    assert list(product_problems("q", 4, 3, (4, 3))) == []
    assert list(product_problems("q", 9, 9, None)) == []
