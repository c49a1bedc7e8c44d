"""What is wrong with a text that should be JSON, said without any of the text."""

from __future__ import annotations

import json


def json_fault(error: Exception) -> str:
    """Return the fault that the parser raised, in words."""
    if isinstance(error, json.JSONDecodeError):
        return f"not JSON: {error.msg}, at character {error.pos + 1}"
    return "not JSON: nested too deeply, or a number that is too long"
