"""A base as dense tensors, whatever it is stored as: packed weights become things that can be computed on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.offline.merge.base_weights import BaseWeights, Stored
    from lorabay.offline.merge.tensors import Computed


@dataclass(frozen=True, slots=True)
class DenseBase:
    """Every tensor of the base by its dense name. `dtype`: what the output is stored as, None where the base says it;
    `method`: how the base was quantised."""

    tensors: Mapping[str, Stored | Computed]
    dtype: str | None = None
    method: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        if self.method is None:
            return ()
        return (
            f"the base is quantised ({self.method}); the result is its de-quantised weights with the adapter in them",
        )


def dense_tensors(base: BaseWeights) -> DenseBase:
    """Raises SetupError for a way of quantising that is not known here."""
    quantisation = base.config.get("quantization_config")
    if quantisation is None:
        return DenseBase(base.tensors)
    raise SetupError(f"the base {base.folder} is quantised")
