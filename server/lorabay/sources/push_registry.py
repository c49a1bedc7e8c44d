"""Puts an adapter into an OCI registry, as a CNCF ModelPack of plain files.

Blobs first, the manifest last: the tag moves when everything is there. What the registry has
already is not sent again.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.sources.interface import SourceError
from lorabay.sources.oci_layers import TITLES
from lorabay.sources.oci_registry import MANIFEST_TYPE
from lorabay.sources.pushed import reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lorabay.sources.oci_registry import OciRegistry
    from lorabay.sources.pushed import Pushed

CHUNK_BYTES = 1 << 20

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
OTHER_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"


async def push_to_registry(
    registry: OciRegistry, adapter: Pushed, advance: Callable[[str, int], None]
) -> str:
    """Upload one adapter under the registry's tag; return the digest of its manifest.

    Raises SourceError, or SetupError for a file that cannot be read, and then the tag leads to what
    it led to before.
    """
    layers: list[dict[str, Any]] = []
    for file in adapter.files:
        path = adapter.folder / file
        text = f"{adapter.name}: {file}"
        digest = _digest_of(path)
        with reading(path):
            size = path.stat().st_size
        await _send(registry, digest, partial(_pieces, path), size)
        advance(text, size)
        layers.append(
            {
                "mediaType": WEIGHT_TYPE if file == WEIGHTS_FILE else OTHER_TYPE,
                "digest": digest,
                "size": size,
                "annotations": dict.fromkeys(TITLES, file),
            }
        )

    config = _config(adapter.name, [layer["digest"] for layer in layers])
    await _send(registry, _digest(config), lambda: config, len(config))
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": {
                "mediaType": CONFIG_TYPE,
                "digest": _digest(config),
                "size": len(config),
            },
            "layers": layers,
        }
    ).encode()
    async with registry.request(
        "PUT",
        f"manifests/{registry.reference.tag}",
        headers={"content-type": MANIFEST_TYPE},
        content=manifest,
    ):
        pass
    return _digest(manifest)


async def _send(registry: OciRegistry, digest: str, content: Callable[[], Any], size: int) -> None:
    """Upload a blob, unless the registry has it."""
    async with registry.request("HEAD", f"blobs/{digest}", missing_is_fine=True) as answer:
        if answer.status_code == 200:
            return

    async with registry.request("POST", "blobs/uploads/") as begun:
        where = begun.headers.get("location")
        if where is None:
            raise SourceError("the registry says no place for an upload")
        url = str(begun.url.join(where))
    url += f"{'&' if '?' in url else '?'}digest={digest}"
    headers = {"content-type": "application/octet-stream", "content-length": str(size)}
    async with registry.request("PUT", url, headers=headers, content=content):
        pass


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with reading(path), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _config(name: str, digests: list[str]) -> bytes:
    """Return the config that a ModelPack has to have."""
    content = {
        "descriptor": {"name": name},
        "config": {"format": "safetensors"},
        "modelfs": {"type": "layers", "diffIds": digests},
    }
    return json.dumps(content, sort_keys=True).encode()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _digest_of(path: Path) -> str:
    with reading(path), path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
