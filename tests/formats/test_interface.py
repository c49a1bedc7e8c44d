"""A source's factors are read when they are asked for, and know which tensor they are."""

from __future__ import annotations

import numpy as np

from lorabay.algebra.updates import StoredFactor
from lorabay.files.safetensors_header import TensorInfo
from lorabay.files.tensors import Tensor
from lorabay.formats.interface import Source


def test_a_factor_is_read_anew_each_time_and_knows_its_tensor() -> None:
    """Nothing is read before, nothing is kept, and the dtype is widened to float32."""
    asked: list[TensorInfo] = []

    def read(info: TensorInfo) -> Tensor:
        asked.append(info)
        return Tensor("F16", np.ones(info.shape, np.float16))

    info = TensorInfo("x", "F16", (2, 3), 0, 12)
    load = Source({}, (info,), read).load(info)
    assert isinstance(load, StoredFactor)
    assert load.tensor is info
    assert asked == []
    assert load().dtype == np.float32
    load()
    assert asked == [info, info]
