"""Puts adapters into a bucket so that no reader ever sees half of one.

Weights go first, config last of the files, and the manifest after everything: a mirror takes
nothing that is not as the newest manifest says. Files of a former version that the new one does not
have are deleted at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore

from lorabay.files.model_folder import MODEL_WEIGHTS
from lorabay.sources.adapter_files import wanted_files
from lorabay.sources.bucket import told
from lorabay.sources.manifest import MANIFEST_FILE, manifest_of
from lorabay.sources.pushed import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obstore.store import ObjectStore

    from lorabay.sources.pushed import Pushed

CHUNK_BYTES = 1 << 20

PART_BYTES = 8 << 20
"""Bytes of a part of a large upload; a smaller file goes in one request."""


def push_to_bucket(
    location: str, store: ObjectStore, adapter: Pushed, advance: Callable[[str, int], None]
) -> None:
    """Upload one adapter below the store's prefix; `advance` is told of each piece of bytes.

    Raises SourceError, or SetupError for a file that cannot be read, and then readers have the
    former version or are told to wait.
    """
    manifest = manifest_of(adapter.folder, adapter.files)
    with told(location, adapter.name):
        former = _former(store, adapter.name)
        for file in adapter.files:
            path = f"{adapter.name}/{file}"
            pieces = _pieces(adapter.folder / file, f"{adapter.name}: {file}", advance)
            if manifest.files[file].size <= PART_BYTES:
                obstore.put(store, path, b"".join(pieces))
            else:
                obstore.put(store, path, pieces, chunk_size=PART_BYTES)

        obstore.put(store, f"{adapter.name}/{MANIFEST_FILE}", manifest.text().encode())
        for file in sorted(former.difference(adapter.files)):
            obstore.delete(store, f"{adapter.name}/{file}")


def _pieces(path: Path, text: str, advance: Callable[[str, int], None]) -> Iterator[bytes]:
    with reading(path), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            advance(text, len(chunk))
            yield chunk


def _former(store: ObjectStore, name: str) -> set[str]:
    """Return the files of the version that a bucket has, and a model's weights beside it, which a
    push that was cut off may have left.
    """
    listed = obstore.list(store, prefix=name).collect()
    files = {item["path"].removeprefix(f"{name}/") for item in listed}
    return {*wanted_files(files), *filter(MODEL_WEIGHTS.fullmatch, files)}
