"""The matrix of architectures and layouts is the one on its page.

Parts of two rows are filled in every run, all of it with `--matrix`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.matrix.architectures import ARCHITECTURES
from tests.matrix.layouts import LAYOUTS
from tests.matrix.page import written_matrix
from tests.matrix.rows import row
from tests.matrix.table import table


@pytest.fixture
def own_environment() -> Iterator[None]:
    """Puts back what vLLM sets while it makes a configuration."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.usefixtures("own_environment")
@pytest.mark.parametrize(
    ("name", "layouts"),
    [
        ("Llama", ("PEFT, wrapped", "mlx-lm", "mistral-finetune", "torchtune", "ms-swift")),
        ("Qwen3-MoE, experts", ("PEFT, other class", "Tinker")),
    ],
)
def test_every_layout_is_pefts(
    name: str, layouts: tuple[str, ...], tmp_path: Path, figures: list[str]
) -> None:
    """Checked, loaded by vLLM's own loaders, and merged: each equal to what PEFT computes."""
    cells = row(ARCHITECTURES[name], tmp_path, layouts)
    texts = {layout: cell.text for layout, cell in cells.items()}
    missing = {"mistral-finetune"}
    assert texts == {layout: "-" if layout in missing else "equal" for layout in layouts}
    weights = max(cell.weights for cell in cells.values())
    logits = max(cell.logits for cell in cells.values())
    figures.append(f"{name}: weights within {weights:.1e} of PEFT's, logits within {logits:.1e}")


@pytest.mark.timeout(600)
def test_the_page_has_the_matrix(request: pytest.FixtureRequest) -> None:
    """All rows, in a process in which vLLM's classes for images can be imported."""
    if not request.config.getoption("--matrix"):
        pytest.skip("takes a minute; --matrix fills it")
    command = [sys.executable, "-m", "tests.matrix"]
    filled = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert filled.returncode == 0, filled.stderr[-3000:]
    begin = filled.stdout.index("| architecture |")
    assert filled.stdout[begin:].partition("\nlargest")[0].strip() == written_matrix()


def test_a_cell_that_is_not_equal_has_its_reason_below() -> None:
    """Once, however many cells have it."""
    cells = dict.fromkeys(LAYOUTS, "equal") | {"Tinker": "check: no", "mlx-lm": "-"}
    lines = table({"One": cells, "Two": cells}).splitlines()
    assert lines[2].count("equal") == len(LAYOUTS) - 2
    assert lines[2].replace("One", "Two") == lines[3]
    assert "(1)" in lines[2]
    assert lines[-1] == "1. check: no"
