"""The digest is the identity of a version."""

from __future__ import annotations

import numpy as np

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults, Choice
from lorabay.catalog.digests import WeightsDigest, version_digest
from lorabay.catalog.versions import Digest


def digest(config: dict[str, object], *tensors: tuple[str, str, np.ndarray]) -> str:
    growing = WeightsDigest(config)
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


def test_without_defaults_a_version_has_the_digest_of_its_weights() -> None:
    """As it had before there were defaults: what servers remember stays valid."""
    weights = Digest(digest({"r": 4}, ("a", "BF16", ZEROS)))
    assert version_digest(weights, NO_DEFAULTS) == weights
    assert weights == "b28602da9d142c3a94e0c22838f2153236615a764bd4fe30c84eb6978f732099"


def test_every_default_counts() -> None:
    """And so do the weights; equal ones give the same digest in every server."""
    weights, others = Digest("a" * 64), Digest("b" * 64)
    cold = AdapterDefaults(sampling=(("temperature", Choice(0.0)),))
    variants = [
        AdapterDefaults(chat_template="x"),
        AdapterDefaults(end_tokens=("x",)),
        AdapterDefaults(system_prompt=Choice("x")),
        AdapterDefaults(system_prompt=Choice("x", is_enforced=True)),
        AdapterDefaults(sampling=(("seed", Choice(0)),)),
        AdapterDefaults(description="x"),
        AdapterDefaults(tags=("x",)),
        AdapterDefaults(tags=("x", "y")),
        cold,
    ]
    digests = {version_digest(weights, defaults) for defaults in variants}
    digests.add(version_digest(others, cold))
    assert len(digests) == len(variants) + 1
    assert version_digest(weights, AdapterDefaults(sampling=cold.sampling)) in digests
    assert not {weights, others} & digests
