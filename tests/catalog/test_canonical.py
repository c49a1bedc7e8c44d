"""The canonical form is checked, hashed and written in one pass."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.numpy import load

from lorabay.catalog.canonical import (
    BFLOAT16_LARGEST,
    FLOAT16_LARGEST,
    SCALED_AWAY,
    UNTRAINED,
    Canonical,
    CanonicalTensor,
    LoraPair,
    measure,
    stored_modules,
)
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_folder import SCALES_FILE, WEIGHTS_FILE, Limits, Unreadable
from lorabay.files.tensors import Tensor
from lorabay.reasons import Rejected
from tests import making

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

ONES = np.ones((2, 3), np.float32)
COLUMNS = np.ones((3, 2), np.float32)


def tensor(name: str, values: NDArray[np.float32]) -> CanonicalTensor:
    return CanonicalTensor(name, "F32", values.shape, lambda: Tensor("F32", values))


def adapter(
    a: NDArray[np.float32] = ONES,
    b: NDArray[np.float32] = COLUMNS,
    scale: NDArray[np.float32] | None = None,
) -> Canonical:
    pair = LoraPair("m.q_proj", tensor("m.q_proj.A", a), tensor("m.q_proj.B", b))
    scales = () if scale is None else (tensor("m.q_proj.scale", scale),)
    return Canonical("lora", 2, 4.0, False, 8.0, (pair,), scales, base_model="acme/x")


@pytest.mark.parametrize(
    ("largest", "b", "alpha", "is_fine"),
    [
        (BFLOAT16_LARGEST, 1e38, 4.0, True),
        (BFLOAT16_LARGEST, 1e38, 8.0, False),
        (BFLOAT16_LARGEST, -1e38, -8.0, False),
        (FLOAT16_LARGEST, 3e4, 4.0, True),
        (FLOAT16_LARGEST, 4e4, 4.0, False),
        (FLOAT16_LARGEST, 7e4, 0.1, False),
    ],
)
def test_b_times_its_scale_is_a_number_of_the_engine(
    largest: float, b: float, alpha: float, is_fine: bool
) -> None:
    """The engine multiplies B when it loads it; an infinite product would answer nonsense."""
    canonical = replace(adapter(b=np.full((3, 2), b, np.float32)), alpha=alpha)
    result = measure(canonical, largest=largest)
    assert isinstance(result, AdapterSpec) == is_fine
    if isinstance(result, Rejected):
        assert result.codes == {"not_finite"}
        assert "that the engine computes with" in result.line


def spec_of(canonical: Canonical) -> AdapterSpec:
    spec = measure(canonical)
    assert isinstance(spec, AdapterSpec), spec
    return spec


def test_what_is_written_is_what_was_measured() -> None:
    """Both files hold their tensors, and the size is that of both."""
    written: dict[str, bytes] = {}

    @contextmanager
    def open_file(name: str) -> Iterator[BinaryIO]:
        file = BytesIO()
        yield file
        written[name] = file.getvalue()

    canonical = adapter(scale=np.full(3, 2, np.float32))
    spec = measure(canonical, open_file)
    assert spec == measure(canonical)
    assert isinstance(spec, AdapterSpec)
    assert list(written) == [WEIGHTS_FILE, SCALES_FILE]
    assert spec.size_bytes == sum(map(len, written.values()))
    assert load(written[WEIGHTS_FILE]).keys() == {"m.q_proj.A", "m.q_proj.B"}
    np.testing.assert_array_equal(load(written[SCALES_FILE])["m.q_proj.scale"], [2, 2, 2])


def test_the_digest_is_of_what_is_computed() -> None:
    """Values, names and the meaning of the config count; the author's words do not."""
    digest = spec_of(adapter()).digest
    same = replace(adapter(), source_alpha=1.0, base_model=None, warnings=("x",))
    assert spec_of(same).digest == digest
    for other in (
        adapter(a=2 * ONES),
        adapter(scale=np.full(3, 2, np.float32)),
        replace(adapter(), alpha=5.0),
        replace(adapter(), rslora=True),
    ):
        assert spec_of(other).digest != digest


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    """Each tensor that holds one is named."""
    result = measure(adapter(a=value * ONES))
    assert isinstance(result, Rejected)
    assert result.codes == {"not_finite"}
    assert "'m.q_proj.A'" in result.reasons[0].text


@pytest.mark.parametrize(
    ("a", "scale", "idle"),
    [(0, None, True), (1, None, False), (0, 1, True), (0, 2, False), (-0.0, 1 + 1e-7, True)],
)
def test_an_adapter_without_effect_has_a_warning(a: float, scale: float | None, idle: bool) -> None:
    """Zeros in A or B do nothing, and neither does an output scale of one; trainers send such."""
    scales = None if scale is None else np.full(3, scale, np.float32)
    spec = spec_of(adapter(a=a * ONES, scale=scales))
    assert (UNTRAINED in spec.warnings) == idle


def test_an_alpha_of_zero_has_a_warning_too() -> None:
    """Of a trained adapter it is a mistake, and the config is what is wrong."""
    assert spec_of(replace(adapter(), alpha=0.0)).warnings == (SCALED_AWAY,)
    assert spec_of(replace(adapter(a=0 * ONES), alpha=0.0)).warnings == (UNTRAINED,)


def test_a_tensor_that_cannot_be_read_is_a_reason() -> None:
    """The folder may change while it is measured."""

    def unreadable() -> Tensor:
        raise Unreadable("changed_while_read", "it changed")

    broken = CanonicalTensor("m.q_proj.A", "F32", (2, 3), unreadable)
    pair = replace(adapter().pairs[0], a=broken)
    result = measure(replace(adapter(), pairs=(pair,)))
    assert isinstance(result, Rejected)
    assert result.transient


def test_the_config_is_minimal_json() -> None:
    """An engine finds rank, alpha and targets; a whole alpha is written as an integer."""
    config = json.loads(json.dumps(adapter().config))
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", 2, 4)
    assert isinstance(config["lora_alpha"], int)
    assert config["target_modules"] == ["q_proj"]
    assert replace(adapter(), alpha=4.5).config["lora_alpha"] == 4.5


def test_the_modules_of_a_stored_version_are_in_its_file(tmp_path: Path) -> None:
    """By their whole names, which the spec does not keep; none of what cannot be read."""
    folder = making.make_adapter(tmp_path / "a", tensors=making.lora_tensors(("v_proj",)))
    assert sorted(stored_modules(folder, Limits())) == [
        "model.layers.0.self_attn.v_proj",
        "model.layers.1.self_attn.v_proj",
    ]
    assert stored_modules(tmp_path / "b", Limits()) == ()
