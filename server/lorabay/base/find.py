"""The base that a user named: a local folder, or a hub id that is brought into the local cache."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from lorabay.errors import SetupError

PATTERNS = ["*.json", "*.safetensors", "*.jinja", "*.txt", "*.model", "*.py"]
"""Files of a hub repository that vLLM reads; weights of other frameworks stay behind."""

COPIES = ["original/*", "metal/*", "consolidated*"]
"""Files that match, and hold the same weights once more in the layout of another program."""


@dataclass(frozen=True, slots=True)
class BaseFolder:
    """A base model on this machine: its folder, and its name for clients."""

    path: Path
    served_name: str


def find_base(base: str, *, revision: str | None = None) -> BaseFolder:
    """Return the folder of a base named by path or hub id. Raise SetupError if there is none.

    A path that exists wins over a hub id. A model that is not in the hub's local cache is
    downloaded. `NAME@REVISION` names a branch, a tag or a commit of it; else `revision` does, else
    it is the newest one.
    """
    folder = Path(base).expanduser()
    if folder.is_dir():
        folder = folder.resolve()
        return BaseFolder(folder, folder.name)
    # No hub id looks like this: a typing error in a path must not ask the network.
    if folder.is_absolute() or base.startswith("."):
        raise SetupError(f"the base folder {base} {_what_is_wrong(folder)}")

    name, _, pinned = base.partition("@")
    try:
        snapshot = snapshot_download(
            name,
            revision=pinned or revision,
            allow_patterns=PATTERNS,
            ignore_patterns=COPIES,
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SetupError(
            f"the base {base!r} is neither a folder nor a model that the hub gives: {reason}"
        ) from None
    return BaseFolder(Path(snapshot), name)


def _what_is_wrong(folder: Path) -> str:
    """Return why a path is no folder."""
    try:
        folder.stat()
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    return "is not a folder"


def revision_of(options: Mapping[str, object]) -> str | None:
    """Return the revision of the base that vLLM's option `revision` asks for."""
    revision = options.get("revision")
    return None if revision is None else str(revision)


def served_names(options: Mapping[str, object], base: BaseFolder) -> tuple[str, ...]:
    """Return the base's public names: vLLM's option `served_model_name`, else the base's own."""
    names = options.get("served_model_name", base.served_name)
    if isinstance(names, list | tuple):
        return tuple(str(name) for name in names)
    return (str(names),)
