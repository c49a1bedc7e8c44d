"""The identity of a version: sha256 over its canonical config and tensors, computed while they
stream past.

The caller feeds tensors in `safetensors_header.storage_order`; nothing else of a file (its own order, its
metadata, config fields without effect) enters, so two files with the same weights have the same
digest.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from lorabay.catalog.versions import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class VersionDigest:
    """Grows by one tensor at a time. Each part is framed by its own description, so no two inputs
    run together.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._hash = hashlib.sha256()
        self._add_line(config)

    def add(self, name: str, dtype: str, values: NDArray[np.generic]) -> None:
        self._add_line({"name": name, "dtype": dtype, "shape": list(values.shape)})
        self._hash.update(values.data)

    def digest(self) -> Digest:
        return Digest(self._hash.hexdigest())

    def _add_line(self, facts: Mapping[str, object]) -> None:
        line = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        self._hash.update(line.encode() + b"\n")
