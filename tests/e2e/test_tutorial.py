"""The tutorial works: its blocks are typed into a shell, one after the other, on the real engine.

The commands come from docs/tutorial.md itself. While its server runs, so do the blocks of other
pages that need one.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Block, page
from tests.docs.typed import CHECKED, ON_THE_ENGINE, TUTORIAL, blocks_of, name_of

pytestmark = pytest.mark.timeout(1800)

ADDRESS = "http://127.0.0.1:8000"
ENGINE = "dtype=float32 max_model_len=2048"
"""What the shared engine of these tests runs with, so that its compiled code is found."""

OPERATE = "docs/guides/operate.md"
MARK = "@@ next block @@"
START_S = 1200.0


@dataclass(frozen=True, slots=True)
class Reader:
    """Someone in a folder that looks like a checkout after `make setup`."""

    folder: Path
    port: int
    environment: Mapping[str, str]

    def command(self, text: str) -> list[str]:
        """Return the command that runs a block in a shell, with this reader's address in it."""
        own = text.replace(ADDRESS, f"http://127.0.0.1:{self.port}")
        return ["/bin/bash", "-eu", "-c", own]

    def type(self, text: str) -> str:
        """Run a block; return what it printed."""
        run = subprocess.run(
            self.command(text),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )
        assert run.returncode == 0, f"{text}\n{run.stdout}\n{run.stderr[-3000:]}"
        return run.stdout


@dataclass(frozen=True, slots=True)
class Step:
    """A block of the tutorial, with what it shows as its output."""

    block: Block
    expected: str


def steps() -> list[Step]:
    """Return the blocks of the tutorial that are typed, each with the output that follows it."""
    found: list[Step] = []
    for block in page(TUTORIAL).blocks("sh", "text"):
        if block.language == "sh":
            found.append(Step(block, ""))
        else:
            found[-1] = Step(found[-1].block, block.text)
    return [step for step in found if name_of(step.block) not in CHECKED]


STEPS = steps()
SERVE = next(number for number, step in enumerate(STEPS) if "lorabay serve" in step.block.text)
MERGE = next(number for number, step in enumerate(STEPS) if "lorabay merge" in step.block.text)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("reader")
    shutil.copytree(ROOT / "adapters", folder / "adapters")
    (folder / ".venv").symlink_to(sys.prefix)

    port = free_port()
    plain = {name: text for name, text in os.environ.items() if not name.startswith("LORABAY_")}
    own = {
        "LORABAY_PORT": str(port),
        "LORABAY_STORE": str(folder / "store"),
        "LORABAY_ENGINE": ENGINE,
        "PYTHONPATH": str(ROOT / "server"),
    }
    return Reader(folder, port, plain | own)


@pytest.fixture(scope="module")
def serving(reader: Reader) -> Iterator[Reader]:
    """The reader, with the tutorial's server in a terminal of its own; ended as by Ctrl-C."""
    for step in STEPS[:SERVE]:
        reader.type(step.block.text)

    log = (reader.folder / "server.log").open("w")
    server = subprocess.Popen(
        reader.command(f"exec {STEPS[SERVE].block.text}"),
        cwd=reader.folder,
        env=reader.environment,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    try:
        yield reader
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(120)
        log.close()


def test_the_tutorial(serving: Reader) -> None:
    """Each block shows what the page says: served, changed, rolled back, broken, and gone."""
    typed = STEPS[SERVE + 1 : MERGE]
    assert len(typed) >= 8

    script = f"\necho '{MARK}'\n".join(step.block.text for step in typed)
    outputs = serving.type(script).split(f"{MARK}\n")
    assert len(outputs) == len(typed)
    for step, output in zip(typed, outputs, strict=True):
        assert beginnings(step.expected) <= beginnings(output), f"{step.block.text}\n{output}"

    served, changed, rolled_back, broken = (
        output[output.index(first) :]
        for step, output in zip(typed, outputs, strict=True)
        if step.block.text.rstrip().endswith("ask shop")
        for first in [beginning_of_answer(step.expected)]
    )
    assert served == rolled_back == broken
    assert changed != served


def beginnings(text: str) -> set[str]:
    """Return the first three words of each line: how a model goes on depends on the processor."""
    lines = [line for line in text.splitlines() if line.strip(". ")]
    return {" ".join(line.split()[:3]) for line in lines}


def beginning_of_answer(expected: str) -> str:
    """Return the beginning of the line in which a model speaks: the last whole one."""
    last = [line for line in expected.splitlines() if line.strip(". ")][-1]
    return " ".join(last.split()[:3])


def other_blocks() -> list[Block]:
    """Return the blocks of other pages; those that take an adapter away come last."""
    return sorted(blocks_of(ON_THE_ENGINE), key=lambda block: block.page == OPERATE)


@pytest.mark.parametrize("block", other_blocks(), ids=name_of)
def test_a_block_of_another_page(block: Block, serving: Reader) -> None:
    """It ends without an error on a running server, and requests for adapters are answered."""
    if block.language == "python":
        own = block.text.replace(ADDRESS, f"http://127.0.0.1:{serving.port}")
        (serving.folder / "block.py").write_text(own)
        assert serving.type(".venv/bin/python block.py").count("\n") >= 4
        return

    output = serving.type(f"{admin_function()}\n{block.text}")
    assert '"internal_error"' not in output
    assert '"invalid_api_key"' not in output
    assert "chat/completions" not in block.text or '"choices"' in output


def admin_function() -> str:
    """Return what the page on operation defines before its other blocks, and other pages use."""
    blocks = page(OPERATE).blocks("sh")
    (definition,) = [block for block in blocks if "admin()" in block.text]
    body, end, _ = definition.text.partition("\n}\n")
    assert end
    return body + end


def test_the_merge_at_the_end(reader: Reader) -> None:
    """The last blocks of the tutorial make a verified model of the default base."""
    expected = ""
    output = ""
    for step in STEPS[MERGE:]:
        output += reader.type(step.block.text)
        expected += step.expected
    assert beginnings(expected) <= beginnings(output)
