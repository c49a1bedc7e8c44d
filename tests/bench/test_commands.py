"""Both servers get the same base, adapters and engine options."""

from __future__ import annotations

import itertools
import json
import sys
from typing import TYPE_CHECKING

import pytest

from lorabay.bench.commands import lorabay_command, vllm_command
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def adapters(tmp_path: Path) -> Path:
    """Two adapters, a hidden one and a folder that is not an adapter."""
    for name, rank in (("finance", 16), ("ecommerce", 24), (".hidden", 512)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}))
    (tmp_path / "notes").mkdir()
    return tmp_path


def options(command: list[str]) -> dict[str, str]:
    """Return the value after each flag; for `--engine NAME=VALUE` the name is the flag."""
    values: dict[str, str] = {}
    for flag, value in itertools.pairwise(command):
        if flag == "--engine":
            name, _, given = value.partition("=")
            values["--" + name.replace("_", "-")] = given
        elif flag.startswith("--"):
            values[flag] = value
    return values


def test_both_servers_get_the_same_engine(adapters: Path) -> None:
    """Every option that one server's engine gets, the other's gets with the same value; given ones
    win.
    """
    engine = {"dtype": "float32", "max_num_seqs": "8"}
    ours = options(lorabay_command("/base", adapters, engine, 1))
    theirs = options(vllm_command("/base", adapters, engine, 2))
    own = {
        "--base",
        "--adapters",
        "--model",
        "--served-model-name",
        "--enable-lora",
        "--lora-modules",
        "--port",
        "--compile-first",
    }
    shared = {name: value for name, value in ours.items() if name not in own}

    assert shared == {name: value for name, value in theirs.items() if name not in own}
    assert (shared["--dtype"], shared["--max-num-seqs"], shared["--host"]) == (
        "float32",
        "8",
        "127.0.0.1",
    )
    assert ours["--base"] == theirs["--model"] == "/base"


def test_the_engine_has_room_for_every_adapter(adapters: Path) -> None:
    """A slot for each adapter folder, dot folders aside, and the next rank limit that holds the
    widest.
    """
    ours = options(lorabay_command("/base", adapters, {}, 1))
    assert (ours["--max-loras"], ours["--max-lora-rank"]) == ("2", "32")


def test_vllm_loads_the_same_adapters_by_name(adapters: Path) -> None:
    """Each adapter folder is a module of vLLM's server under the name of the folder."""
    command = vllm_command("/base", adapters, {}, 1)
    first = command.index("--lora-modules") + 1
    assert command[first : first + 2] == [
        f"ecommerce={adapters}/ecommerce",
        f"finance={adapters}/finance",
    ]


def test_switches_have_no_value_for_vllm(adapters: Path) -> None:
    """A boolean option becomes --name or --no-name."""
    command = vllm_command(
        "/base", adapters, {"enforce_eager": "true", "enable_prefix_caching": "False"}, 1
    )
    assert "--enforce-eager" in command
    assert "--no-enable-prefix-caching" in command
    assert "true" not in command
    assert "False" not in command


def test_our_server_keeps_its_own_defaults() -> None:
    """Without a base and adapters the flags are left out, so that `serve` prepares and finds its
    own.
    """
    command = lorabay_command(None, None, {}, 8080)
    assert command[:4] == [sys.executable, "-m", "lorabay", "serve"]
    assert "--base" not in command
    assert "--adapters" not in command


def test_our_server_is_compiled_before_it_is_measured() -> None:
    """A base that is compiled beside its answers would grow faster during a scenario."""
    assert options(lorabay_command("/base", None, {}, 1))["--compile-first"] == "true"


def test_further_flags_reach_our_server() -> None:
    """A scenario can give the server a store and a rhythm of its own."""
    command = lorabay_command("/base", None, {}, 1, {"store": "/store", "poll-s": "1"})
    assert {"--store": "/store", "--poll-s": "1"}.items() <= options(command).items()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "no adapter in"),
        ("{", "no rank `r`"),
        ("{}", "no rank `r`"),
        ('{"r": 1000}', "rank 1000"),
    ],
)
def test_adapters_that_cannot_be_served_are_one_clear_line(
    tmp_path: Path, config: str | None, message: str
) -> None:
    """An empty directory, an unreadable config or a rank over every limit is named before a server
    is started.
    """
    if config is not None:
        (tmp_path / "finance").mkdir()
        (tmp_path / "finance" / "adapter_config.json").write_text(config)
    with pytest.raises(SetupError, match=message):
        lorabay_command("/base", tmp_path, {}, 1)
