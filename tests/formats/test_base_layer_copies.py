"""A copy of the base's tensor changes nothing if it is the base's own, and is refused if not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from safetensors.torch import load_file

from lorabay.algebra.updates import LowRank, Replaced
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.errors import SetupError
from lorabay.formats.base_layer_copies import dropped_copies, without_copies
from lorabay.reasons import Rejected

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NAME = "lm_head.weight"
PRODUCT = LowRank(lambda: np.ones((1, 32), np.float32), lambda: np.ones((64, 1), np.float32), 1, 1)


@pytest.fixture
def head(llama: Path) -> NDArray[np.float32]:
    head: NDArray[np.float32] = load_file(llama / "model.safetensors")[NAME].numpy()
    return head


def check(llama: Path, copy: Replaced, *, with_weights: bool = True) -> object:
    weights = BaseWeights.open(llama) if with_weights else None
    return without_copies({NAME: (copy, PRODUCT)}, BaseShapes.read(llama), weights)


def test_the_bases_own_tensor_is_left_out(llama: Path, head: NDArray[np.float32]) -> None:
    """A copy may have been rounded to another dtype; the update beside it stays."""
    rounded = head.astype(np.float16).astype(np.float32)
    for values, dtype in ((head, "F32"), (rounded, "F16")):
        assert check(llama, Replaced(lambda values=values: values, dtype)) == {NAME: (PRODUCT,)}


def test_another_tensor_is_refused(llama: Path, head: NDArray[np.float32]) -> None:
    """It was trained on a changed base; without the base's values only its shape is compared."""
    changed = head.copy()
    changed[3, 4] += 1
    result = check(llama, Replaced(lambda: changed, "F32"))
    assert isinstance(result, Rejected)
    assert result.codes == {"base_copy"}
    assert check(llama, Replaced(lambda: changed, "F32"), with_weights=False) == {NAME: (PRODUCT,)}
    grown = Replaced(lambda: np.zeros((70, 32), np.float32), "F32")
    assert isinstance(check(llama, grown, with_weights=False), Rejected)


def test_a_copy_that_cannot_be_read_is_a_reason(llama: Path) -> None:
    """The reader's own message is kept."""

    def unreadable() -> NDArray[np.float32]:
        raise SetupError("the adapter is gone")

    result = check(llama, Replaced(unreadable, "F32"))
    assert isinstance(result, Rejected)
    assert result.reasons[0].text == "the adapter is gone"


def test_modules_that_were_trained_as_a_whole_are_no_copies(head: NDArray[np.float32]) -> None:
    """They replace the base's values; a name without other updates goes with its copy."""
    trained, copy = Replaced(lambda: head), Replaced(lambda: head, "F32")
    assert dropped_copies({NAME: (trained,), "x.weight": (copy,)}) == {NAME: (trained,)}
