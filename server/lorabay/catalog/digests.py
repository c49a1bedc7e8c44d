"""The identity of a version: sha256 over its canonical config and its tensors.

It is computed while the tensors stream past; the caller adds them in the order of
`safetensors_header.storage_order`. A file's own order, its metadata, and config fields without
effect do not enter: two files with the same weights have the same digest.
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
    """Digest of one version, which grows by one tensor at a time.

    A description frames each part, so two different inputs never feed the same bytes.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._hash = hashlib.sha256()
        self._add_line(config)

    def add(self, name: str, dtype: str, values: NDArray[np.generic]) -> None:
        """Feed one tensor, which is contiguous; `dtype` is its name in safetensors."""
        self._add_line({"name": name, "dtype": dtype, "shape": list(values.shape)})
        self._hash.update(values.data)

    def digest(self) -> Digest:
        """Return the digest of everything that was added so far."""
        return Digest(self._hash.hexdigest())

    def _add_line(self, facts: Mapping[str, object]) -> None:
        line = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
        self._hash.update(line.encode() + b"\n")
