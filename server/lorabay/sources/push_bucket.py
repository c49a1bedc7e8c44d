"""Puts adapters into a bucket so that no reader ever sees half of one.

Weights go first, config last of the files, and the manifest after everything: a mirror takes
nothing that is not as the newest manifest says. Files of a former version that the new one does not
have are deleted at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import obstore

from lorabay.sources.adapter_files import wanted_files
from lorabay.sources.bucket import told
from lorabay.sources.manifest import MANIFEST_FILE, manifest_of

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

    Raises SourceError, and then readers have the former version or are told to wait.
    """
    manifest = manifest_of(adapter.folder, adapter.files)
    with told(location, adapter.name):
        for file in adapter.files:
            path = f"{adapter.name}/{file}"
            pieces = _pieces(adapter.folder / file, f"{adapter.name}: {file}", advance)
            if manifest.files[file].size <= PART_BYTES:
                obstore.put(store, path, b"".join(pieces))
            else:
                obstore.put(store, path, pieces, chunk_size=PART_BYTES)

        obstore.put(store, f"{adapter.name}/{MANIFEST_FILE}", manifest.text().encode())
        _delete_former(store, adapter)


def _pieces(path: Path, text: str, advance: Callable[[str, int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            advance(text, len(chunk))
            yield chunk


def _delete_former(store: ObjectStore, adapter: Pushed) -> None:
    listed = obstore.list(store, prefix=adapter.name).collect()
    paths = {item["path"].removeprefix(f"{adapter.name}/") for item in listed}
    for file in wanted_files(paths):
        if file not in adapter.files:
            obstore.delete(store, f"{adapter.name}/{file}")
