"""Values of a body that nobody has validated, read as what they should be.

What is something else counts as nothing: the engine refuses it. Knows no field.
"""

from __future__ import annotations


def as_list(value: object) -> list[object]:
    """Return a list; an empty one for anything else."""
    return value if isinstance(value, list) else []


def as_object(value: object) -> dict[str, object]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def chars_of(value: object) -> int:
    """Return the characters of a text; 0 for anything else."""
    return len(value) if isinstance(value, str) else 0


def as_number(value: object) -> int | None:
    """Return a number that the engine may read from a JSON value, or None.

    vLLM also takes `2.0` and `"2"` for 2.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value)
    if not isinstance(value, str) or len(value) > len(str(2**64)):
        return None

    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return None
