"""Finds the base model: the prepared default, a local folder, or a hub id brought into the local
cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from lorabay.errors import SetupError

PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.py"]
"""What vLLM reads of a hub repository; other frameworks' weights stay behind."""


@dataclass(frozen=True, slots=True)
class BaseFolder:
    """A base model on this machine: where it lies and what clients call it."""

    path: Path
    served_name: str


def find_base(base: str) -> BaseFolder:
    """Give the folder of a base named by path or hub id; raises SetupError when there is none."""
    folder = Path(base).expanduser()
    if folder.is_dir():
        return BaseFolder(folder.resolve(), folder.resolve().name)
    if folder.is_absolute() or base.startswith("."):
        raise SetupError(f"the base folder {base} does not exist")
    try:
        return BaseFolder(Path(snapshot_download(base, allow_patterns=PATTERNS)), base)
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SetupError(
            f"the base {base!r} is neither a folder nor a model that the hub gives: {reason}"
        ) from None


def served_names(options: Mapping[str, object], base: BaseFolder) -> tuple[str, ...]:
    """Give the base's public names: vLLM's option `served_model_name` where it is set, else the
    base's own.
    """
    names = options.get("served_model_name", base.served_name)
    return tuple(str(name) for name in names) if isinstance(names, list | tuple) else (str(names),)
