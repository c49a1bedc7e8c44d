"""The manifest that `lorabay push` puts beside an adapter in a bucket, after everything else.

A bucket changes object by object. The manifest says which files belong together, by their digests:
whoever finds it newest, and the files as it says, has a whole adapter at once. Knows nothing of
buckets.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lorabay.sources.interface import SourceError
from lorabay.sources.pushed import reading

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST_FILE = "manifest.lorabay.json"

MANIFEST_BYTES = 1 << 20


class ManifestFile(BaseModel):
    """One file: its bytes, and their digest in hex."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    size: int = Field(ge=0)
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Manifest(BaseModel):
    """The files of one adapter, by name."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    lorabay_manifest: Literal[1] = 1
    files: dict[str, ManifestFile]

    def text(self) -> str:
        """Return the manifest as it is stored."""
        return json.dumps(self.model_dump(), indent=1, sort_keys=True) + "\n"


def read_manifest(content: bytes) -> Manifest:
    """Return a manifest that was stored; raises SourceError for anything else."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        raise SourceError(
            f"{MANIFEST_FILE} is not a manifest of this lorabay: push the adapter again, or delete "
            "the manifest"
        ) from None


def manifest_of(folder: Path, names: tuple[str, ...]) -> Manifest:
    """Return the manifest of some files in a folder; blocks, and reads every byte.

    Raises SetupError for a file that cannot be read.
    """
    files = {}
    for name in names:
        with reading(folder / name), (folder / name).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            files[name] = ManifestFile(size=file.tell(), sha256=digest)
    return Manifest(files=files)
