"""What a whole model needs of memory, and what is said where that is not free."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lorabay.serving.models.model_memory import ModelMemory, weights_bytes
from tests.versions import make_model

MODEL = make_model("bank")
MIB = 1 << 20


@pytest.mark.parametrize(
    ("stored", "computed", "expected"),
    [
        ("bfloat16", None, 100),
        ("bfloat16", "bfloat16", 100),
        ("bfloat16", "float32", 200),
        ("float32", "bfloat16", 50),
        ("bfloat16+float32", "float32", 200),
        # Packed weights stay as they are.
        ("I32+float16", "float32", 100),
    ],
)
def test_weights_take_what_they_are_computed_with(
    stored: str, computed: str | None, expected: int
) -> None:
    """Not what their file takes."""
    spec = replace(MODEL.spec, dtype=stored, size_bytes=100)
    assert weights_bytes(spec, computed) == expected


def test_a_shortage_says_what_is_missing_and_what_to_do() -> None:
    """In numbers that an operator can act on; nothing is said where it fits."""
    spec = replace(MODEL.spec, size_bytes=300 * MIB)
    version = replace(MODEL, spec=spec)
    free = 700 * MIB
    memory = ModelMemory(400 * MIB, lambda: free, process_bytes=100 * MIB)
    text = memory.shortage(version)
    assert text is not None
    assert version.id in text
    for part in ("needs 800 MiB", "100 MiB more than the 700 MiB", "--model-kv-cache-gib"):
        assert part in text

    free = 800 * MIB
    assert memory.shortage(version) is None


def test_the_cache_of_a_model_that_runs_is_not_free() -> None:
    """On a CPU its memory is taken when it is written to; a GPU's is taken at the start."""
    version = replace(MODEL, spec=replace(MODEL.spec, size_bytes=0))
    memory = ModelMemory(100 * MIB, lambda: 250 * MIB, process_bytes=0)
    assert memory.shortage(version, others=1) is None
    assert memory.shortage(version, others=2) is not None
    assert replace(memory, takes_at_once=True).shortage(version, others=2) is None


def test_where_nobody_knows_what_is_free_nothing_is_refused() -> None:
    """vLLM itself refuses then."""
    assert ModelMemory(1 << 60, lambda: None).shortage(MODEL) is None
