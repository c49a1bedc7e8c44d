"""Fills the matrix, prints it in Markdown, and with `--write` puts it on its page.

    python -m tests.matrix [--write] [ARCHITECTURE ...]

Runs in a process of its own, where a stand-in for torchvision lets vLLM's classes with a tower be
imported. Takes about a minute for all of them.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.torchvision_stand_in import write_stand_in


def main(arguments: Sequence[str]) -> int:
    """Fill the rows that are named, or all."""
    with TemporaryDirectory() as place:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        # Before transformers and vLLM look for it.
        sys.path.insert(0, str(write_stand_in(Path(place) / "stand-in")))
        from tests.matrix.architectures import ARCHITECTURES
        from tests.matrix.page import write_matrix
        from tests.matrix.rows import row
        from tests.matrix.table import table

        names = [name for name in arguments if name != "--write"]
        rows: dict[str, dict[str, str]] = {}
        weights = logits = 0.0
        for number, architecture in enumerate(ARCHITECTURES.values()):
            if names and architecture.name not in names:
                continue
            started = time.monotonic()
            cells = row(architecture, Path(place) / str(number))
            rows[architecture.name] = {layout: cell.text for layout, cell in cells.items()}
            weights = max([weights, *(cell.weights for cell in cells.values())])
            logits = max([logits, *(cell.logits for cell in cells.values())])
            took = time.monotonic() - started
            sys.stderr.write(f"{architecture.name}: {took:.0f} s\n")

        largest = f"largest difference of a weight {weights:.1e}, of a logit {logits:.1e}"
        sys.stdout.write(f"{table(rows)}\n\n{largest}\n")
        if "--write" in arguments:
            write_matrix(rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
