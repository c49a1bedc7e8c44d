"""vLLM's search for the kernels that a CPU replaces, over every object of every module.

vLLM 0.32 takes each object's attributes for a dictionary. One of llvmlite's answers to any name,
that of its attributes too, and has none: the worker's start would fail where llvmlite is imported
before. Knows nothing of kernels.
"""

from __future__ import annotations

from typing import Any


def attributes(thing: Any) -> dict[str, Any]:
    """Return the attributes of an object, as `vars` does; none where that gives no dictionary."""
    found: Any = vars(thing)
    return found if isinstance(found, dict) else {}


def install() -> None:
    """Have vLLM's search go over such objects; idempotent."""
    from vllm.triton_utils import dispatcher

    dispatcher.vars = attributes
