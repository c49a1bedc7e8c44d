"""The digest is the identity of a version."""

from __future__ import annotations

import numpy as np

from lorabay.catalog.digests import VersionDigest


def digest(config: dict[str, object], *tensors: tuple[str, str, np.ndarray]) -> str:
    growing = VersionDigest(config)
    for name, dtype, values in tensors:
        growing.add(name, dtype, values)
    return growing.digest()


ZEROS = np.zeros((2, 3), np.uint16)


def test_the_digest_is_64_hex_characters_and_repeatable() -> None:
    """The same config (in any order of its fields) and tensors give the same digest."""
    first = digest({"r": 4, "lora_alpha": 8}, ("a", "BF16", ZEROS))
    assert first == digest({"lora_alpha": 8, "r": 4}, ("a", "BF16", ZEROS))
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")


def test_every_fact_about_a_tensor_counts() -> None:
    """Another name, dtype, shape, value, order or config is another version, though the bytes may
    be the same.
    """
    one = np.ones((2, 3), np.uint16)
    variants = [
        digest({"r": 4}, ("a", "BF16", ZEROS)),
        digest({"r": 5}, ("a", "BF16", ZEROS)),
        digest({"r": 4}, ("b", "BF16", ZEROS)),
        digest({"r": 4}, ("a", "F16", ZEROS)),
        digest({"r": 4}, ("a", "BF16", ZEROS.reshape(3, 2))),
        digest({"r": 4}, ("a", "BF16", one)),
        digest({"r": 4}, ("a", "BF16", ZEROS), ("b", "BF16", one)),
        digest({"r": 4}, ("b", "BF16", one), ("a", "BF16", ZEROS)),
    ]
    assert len(set(variants)) == len(variants)
