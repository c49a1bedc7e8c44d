"""Writes the part of the OpenAPI document that the console's types are made from.

    python -m tests.console.document > openapi.json

Inference is left out: its schemas are vLLM's, and thousands of lines.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.whole_app import whole_app


def document() -> dict[str, Any]:
    """Return the admin paths, and the schemas of their bodies and answers."""
    whole: dict[str, Any] = whole_app().openapi()
    whole["info"]["version"] = "0"
    whole["paths"] = {
        path: operations
        for path, operations in whole["paths"].items()
        if path.startswith(("/admin/", "/v1/models"))
    }
    for operations in whole["paths"].values():
        for operation in operations.values():
            # All errors have one envelope, which the page reads by hand.
            operation["responses"] = {"200": operation["responses"]["200"]}
    return whole


if __name__ == "__main__":
    json.dump(document(), sys.stdout, indent=1, sort_keys=True)
