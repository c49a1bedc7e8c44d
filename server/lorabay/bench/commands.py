"""Command lines of the servers that scenarios start: ours and vLLM's own, with the same engine
options and adapters.

Names vLLM only as an argument of a subprocess. Starts nothing.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lorabay.bench.readiness import BASE
from lorabay.bench.settings import default_engine
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LORABAY, VLLM = "lorabay", "vllm"
VLLM_SERVER = "vllm.entrypoints.launchers.api_server.entry"
HOST = "127.0.0.1"
# The values that vLLM's max_lora_rank takes.
RANK_LIMITS = (1, 8, 16, 32, 64, 128, 256, 320, 512)


def lorabay_command(
    base: str | None,
    adapters: Path | None,
    engine: Mapping[str, str],
    port: int,
    flags: Mapping[str, str] | None = None,
) -> list[str]:
    """`lorabay serve`; what is None is left to its own defaults. `flags` are further ones, by
    name.
    """
    command = [sys.executable, "-m", "lorabay", "serve", "--host", HOST, "--port", str(port)]
    command += [] if base is None else ["--base", base]
    command += [] if adapters is None else ["--adapters", str(adapters)]
    for name, value in _engine(adapters, engine).items():
        command += ["--engine", f"{name}={value}"]
    for flag, value in (flags or {}).items():
        command += [f"--{flag}", value]
    return command


def vllm_command(base: str, adapters: Path, engine: Mapping[str, str], port: int) -> list[str]:
    """vLLM's own API server, the adapters given by name and path. The `vllm` script does not exist
    in every build.
    """
    modules = [f"{folder.name}={folder.resolve()}" for folder in adapter_folders(adapters)]
    command = [
        sys.executable,
        "-m",
        VLLM_SERVER,
        "--host",
        HOST,
        "--port",
        str(port),
        "--model",
        base,
    ]
    command += ["--served-model-name", BASE, "--enable-lora", "--lora-modules", *modules]
    for name, value in _engine(adapters, engine).items():
        command += _flag(name, value)
    return command


def bare_command(base: str, engine: Mapping[str, str], port: int) -> list[str]:
    """vLLM's own API server without LoRA, as fast as the base gets."""
    command = [
        sys.executable,
        "-m",
        VLLM_SERVER,
        "--host",
        HOST,
        "--port",
        str(port),
        "--model",
        base,
    ]
    command += ["--served-model-name", BASE]
    for name, value in (default_engine() | dict(engine)).items():
        command += _flag(name, value)
    return command


def adapter_folders(adapters: Path) -> list[Path]:
    """The direct children with an adapter config, sorted by name; SetupError when there is none."""
    folders = sorted(config.parent for config in adapters.glob("[!.]*/adapter_config.json"))
    if not folders:
        raise SetupError(f"no adapter in {adapters}: no folder there has an adapter_config.json")
    return folders


def _engine(adapters: Path | None, engine: Mapping[str, str]) -> dict[str, str]:
    fitting = {} if adapters is None else _fitting(adapters)
    if "max_loras" in engine:
        # vLLM wants at least as many of these; whoever chooses the slots leaves the other to each
        # server.
        fitting.pop("max_cpu_loras", None)
    return default_engine() | fitting | dict(engine)


def _fitting(adapters: Path) -> dict[str, str]:
    """A slot for each adapter, as wide as the widest."""
    folders = adapter_folders(adapters)
    widest = max(_rank(folder / "adapter_config.json") for folder in folders)
    limit = next((limit for limit in RANK_LIMITS if limit >= widest), None)
    if limit is None:
        raise SetupError(
            f"an adapter in {adapters} has rank {widest}; vLLM takes at most {RANK_LIMITS[-1]}"
        )
    slots = str(len(folders))
    return {"max_loras": slots, "max_cpu_loras": slots, "max_lora_rank": str(limit)}


def _rank(config: Path) -> int:
    try:
        return int(json.loads(config.read_text())["r"])
    except (KeyError, TypeError, ValueError) as error:
        raise SetupError(f"{config}: no rank `r` to be read") from error


def _flag(name: str, value: str) -> list[str]:
    """vLLM's switches take no value: --enforce-eager or --no-enforce-eager."""
    option = name.replace("_", "-")
    if value.lower() in ("true", "false"):
        return [f"--{option}" if value.lower() == "true" else f"--no-{option}"]
    return [f"--{option}", value]
