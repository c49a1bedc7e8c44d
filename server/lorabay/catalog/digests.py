"""The identity of a version: sha256 over its canonical config, its tensors, and its defaults.

Weights have a digest of their own. That of a version without defaults is the same; any other is
made of it and the defaults. The digest of weights is computed while the tensors stream past; the
caller adds them in the order of `safetensors_header.storage_order`. A file's own order, its
metadata, and config fields without effect do not enter: two files with the same weights have the
same digest.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING

from lorabay.catalog.defaults.defaults_json import as_json
from lorabay.catalog.versions import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.catalog.adapter_defaults import AdapterDefaults


class WeightsDigest:
    """Digest of one set of weights, which grows by one tensor at a time.

    A description frames each part, so two different inputs never feed the same bytes.
    """

    def __init__(self, config: Mapping[str, object]) -> None:
        self._hash = hashlib.sha256()
        self._add_line(config)

    def add(self, name: str, dtype: str, values: NDArray[np.generic]) -> None:
        """Feed one tensor, which is contiguous; `dtype` is its name in safetensors."""
        self._hash.update(_tensor_line(name, dtype, values.shape))
        self._hash.update(values.data)

    def digest(self) -> Digest:
        """Return the digest of everything that was added so far."""
        return Digest(self._hash.hexdigest())

    def _add_line(self, facts: Mapping[str, object]) -> None:
        self._hash.update(_line(facts))


def version_digest(weights: Digest, defaults: AdapterDefaults) -> Digest:
    """Return the digest of the version with these weights and defaults.

    Without defaults it is the weights' own.
    """
    stated = as_json(defaults)
    if not stated:
        return weights
    return Digest(hashlib.sha256(_line({"weights": weights, "defaults": stated})).hexdigest())


@lru_cache(maxsize=4096)
def _tensor_line(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    # Adapters of one recipe have the same lines.
    return _line({"name": name, "dtype": dtype, "shape": list(shape)})


def _line(facts: Mapping[str, object]) -> bytes:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"
