"""What a reader would type works: every block is run by a test, or a table says why not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.defaults.defaults_file import Sampling, parse
from tests import peft_adapters
from tests.docs.pages import ROOT, Block, page
from tests.docs.typed import (
    CHECKED,
    CHECKED_PAGES,
    HERE,
    ON_THE_ENGINE,
    TUTORIAL,
    WITH_ACCOUNTS,
    blocks_of,
    name_of,
    typed_blocks,
)

COMMAND = """#!{python}
import sys

from lorabay.cli import run

arguments = sys.argv[1:]
if "--base" not in arguments and arguments[0] not in {accounts}:
    arguments += ["--base", "{base}"]
sys.exit(run(arguments))
"""

WITHOUT_A_BASE = ("keys", "limits", "usage")
"""Commands that have nothing to do with a base."""


def test_every_block_is_run_or_has_a_reason() -> None:
    """Each block is in one table, and the tables name no block that is gone."""
    blocks = typed_blocks()
    assert len(blocks) >= 45

    names = [name_of(block) for block in blocks if not is_on_a_checked_page(block)]
    in_tables = [*HERE, *ON_THE_ENGINE, *WITH_ACCOUNTS, *CHECKED]
    assert len(set(in_tables)) == len(in_tables)

    missing = [name for name in names if name not in in_tables and not name.startswith(TUTORIAL)]
    stale = [name for name in in_tables if name not in names]
    assert missing == []
    assert stale == []


def is_on_a_checked_page(block: Block) -> bool:
    """Return whether no block of this page is run."""
    return block.page.startswith(tuple(CHECKED_PAGES))


def test_the_readme_is_the_tutorial_in_short() -> None:
    """Each step of the session in the README is one that the tutorial takes."""
    tutorial = "\n".join(block.text for block in page(TUTORIAL).blocks("sh"))
    blocks = [block for block in page("README.md").blocks("sh") if "ask" in block.text]
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.text.splitlines()]
    steps = [line for line in lines if re.match(r"(cp|curl|ask \w) ?", line)]

    assert len(steps) >= 4
    for step in steps:
        assert step.replace("ask finance", "ask ecommerce") in tutorial, step


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_base: Path,
    make_adapter_dir: Callable[[Path], Path],
) -> Path:
    """A folder that looks like a checkout after `make setup`, but with a tiny base and adapters."""
    folder = tmp_path_factory.mktemp("checkout")
    command = folder / ".venv" / "bin" / "lorabay"
    command.parent.mkdir(parents=True)
    command.write_text(
        COMMAND.format(python=sys.executable, base=tiny_base, accounts=WITHOUT_A_BASE)
    )
    command.chmod(0o755)

    finance = make_adapter_dir(folder / "adapters" / "finance")
    type_in(folder, ".venv/bin/lorabay train adapters/finance")
    shutil.copytree(finance, folder / "adapters" / "ecommerce")

    own = folder / "my-adapters"
    shutil.copytree(folder / "adapters", own)
    peft_adapters.make(tiny_base, own / "loha", peft_adapters.CONFIGS["loha"])
    (recipe,) = page("docs/guides/convert-and-compose.md").blocks("toml")
    (own / "both").mkdir()
    (own / "both" / "composite.toml").write_text(recipe.text)
    return folder


def type_in(place: Path, text: str) -> str:
    """Run a block in a shell as a reader would; return what it printed."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("LORABAY_")
    }
    environment |= {
        "XDG_CACHE_HOME": str(place / "cache"),
        "PYTHONPATH": str(ROOT / "server"),
        "PYTHONWARNINGS": "ignore",
    }
    run = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", text],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr[-3000:]}"
    return run.stdout


@pytest.mark.parametrize("block", blocks_of(HERE), ids=name_of)
def test_a_block_of_a_guide(block: Block, place: Path) -> None:
    """It ends without an error, and prints something."""
    assert type_in(place, block.text).strip()


def test_the_example_of_defaults_is_a_file_that_counts() -> None:
    """Its example is accepted, and its table has every key of `[sampling]`."""
    guide = page("docs/guides/adapter-defaults.md")
    (example,) = guide.blocks("toml")
    assert isinstance(parse(example.text.encode()), AdapterDefaults)
    table = "\n".join(line for line in guide.text.splitlines() if line.startswith("| `"))
    assert [name for name in Sampling.model_fields if f"`{name}`" not in table] == []
