"""Command lines of the servers that scenarios start: ours and vLLM's own, with the same engine
options and adapters.

Names vLLM only as an argument of a subprocess. Starts nothing.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lorabay.bench.settings import BASE, default_engine
from lorabay.catalog.admission import ALLOWED_RANKS, smallest_limit
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LORABAY, VLLM = "lorabay", "vllm"
VLLM_SERVER = "vllm.entrypoints.launchers.api_server.entry"
HOST = "127.0.0.1"


def lorabay_command(
    base: str | None,
    adapters: Path | None,
    engine: Mapping[str, str],
    port: int,
    flags: Mapping[str, str] | None = None,
) -> list[str]:
    """Return `lorabay serve`; a base or an adapter directory that is None keeps its own default.

    `flags` are further flags, by their names without the dashes. The server compiles its base
    before it answers, so that its speed is the same from the first answer on.
    """
    command = [sys.executable, "-m", "lorabay", "serve", "--host", HOST, "--port", str(port)]
    command += ["--compile-first", "true"]
    if base is not None:
        command += ["--base", base]
    if adapters is not None:
        command += ["--adapters", str(adapters)]

    for name, value in _engine(adapters, engine).items():
        command += ["--engine", f"{name}={value}"]
    for flag, value in (flags or {}).items():
        command += [f"--{flag}", value]
    return command


def vllm_command(base: str, adapters: Path, engine: Mapping[str, str], port: int) -> list[str]:
    """Return vLLM's own API server with every adapter, by name and path."""
    modules = [f"{folder.name}={folder.resolve()}" for folder in adapter_folders(adapters)]
    lora = ["--enable-lora", "--lora-modules", *modules]
    return [*_vllm_server(base, port), *lora, *_flags(_engine(adapters, engine))]


def bare_command(base: str, engine: Mapping[str, str], port: int) -> list[str]:
    """Return vLLM's own API server without LoRA, as fast as the base gets."""
    return [*_vllm_server(base, port), *_flags(_engine(None, engine))]


def adapter_folders(adapters: Path) -> list[Path]:
    """Return the direct children with an adapter config, sorted; raises SetupError without any."""
    folders = sorted(config.parent for config in adapters.glob("[!.]*/adapter_config.json"))
    if not folders:
        raise SetupError(f"no adapter in {adapters}: no folder there has an adapter_config.json")
    return folders


def _vllm_server(base: str, port: int) -> list[str]:
    # By its module: the `vllm` script does not exist in every build.
    place = ["--host", HOST, "--port", str(port)]
    model = ["--model", base, "--served-model-name", BASE]
    return [sys.executable, "-m", VLLM_SERVER, *place, *model]


def _engine(adapters: Path | None, engine: Mapping[str, str]) -> dict[str, str]:
    """Return the engine options: defaults, room for the adapters, and `engine` over both."""
    room = {} if adapters is None else _room_for(adapters)

    if "max_loras" in engine:
        # vLLM wants at least as many CPU slots as slots. Where these are chosen, each server
        # chooses the CPU slots by itself.
        room.pop("max_cpu_loras", None)

    return default_engine() | room | dict(engine)


def _room_for(adapters: Path) -> dict[str, str]:
    """Return the options that make a slot for each adapter, as wide as the widest."""
    folders = adapter_folders(adapters)
    widest = max(_rank(folder / "adapter_config.json") for folder in folders)

    limit = smallest_limit(widest)
    if limit is None:
        raise SetupError(
            f"an adapter in {adapters} has rank {widest}; vLLM takes at most {ALLOWED_RANKS[-1]}"
        )
    slots = str(len(folders))
    return {"max_loras": slots, "max_cpu_loras": slots, "max_lora_rank": str(limit)}


def _rank(config: Path) -> int:
    try:
        return int(json.loads(config.read_text())["r"])
    except (KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{config}: no rank `r` to be read") from error


def _flags(engine: Mapping[str, str]) -> list[str]:
    """Return engine options as vLLM's flags; switches are `--name` or `--no-name`, without a
    value.
    """
    flags: list[str] = []
    for name, value in engine.items():
        option = name.replace("_", "-")

        match value.lower():
            case "true":
                flags.append(f"--{option}")
            case "false":
                flags.append(f"--no-{option}")
            case _:
                flags += [f"--{option}", value]
    return flags
