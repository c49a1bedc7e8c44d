"""From an artifact's manifest to an adapter's files: plain artifacts, and CNCF ModelPack.

A layer is a file, named by its annotation, or a tar of files. A path that climbs out, a link, a
file over its limit: the artifact is refused, before it is downloaded where the manifest tells.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lorabay.files.adapter_folder import Limits
from lorabay.reasons import quoted
from lorabay.sources.adapter_files import wanted_files, what_is_missing
from lorabay.sources.bounded_tar import BoundedTar
from lorabay.sources.damaged import Damaged, parsing
from lorabay.sources.interface import SourceError

if TYPE_CHECKING:
    import tarfile
    from pathlib import Path

TITLES = ("org.cncf.model.filepath", "org.opencontainers.image.title")
"""Annotations that hold the path of a layer's file, the first one that is there."""

TAR_BYTES = Limits().weights_bytes + (64 << 20)
MEMBERS_AT_MOST = 10_000
LAYERS_AT_MOST = 1_000

_TAR_NAME = re.compile(r"layer \d+")
_GZIP = b"\x1f\x8b"


class _Layer(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    mediaType: str = ""
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    size: int = Field(ge=0)
    annotations: dict[str, str] = Field(default_factory=dict)


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    layers: list[_Layer] = Field(max_length=LAYERS_AT_MOST)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer that is wanted: a file of this name, or a tar of files."""

    name: str
    digest: str
    size: int

    @property
    def is_tar(self) -> bool:
        """True for a tar of files."""
        return names_tar(self.name)


def names_tar(name: str) -> bool:
    """Return whether the layer of an offer with this name is a tar; an adapter's file has none
    such.
    """
    return _TAR_NAME.fullmatch(name) is not None


def read_layers(content: bytes) -> tuple[Layer, ...]:
    """Return the layers of a manifest that hold an adapter's files. Raises SourceError."""
    try:
        body: Any = json.loads(content)
        if isinstance(body, dict) and "manifests" in body:
            raise SourceError("it is an index of several artifacts; name one of them by its digest")
        manifest = _Manifest.model_validate(body)
    except (ValueError, ValidationError, RecursionError):
        raise SourceError("its manifest is not one of an OCI artifact") from None

    layers: dict[str, Layer] = {}
    for number, layer in enumerate(manifest.layers):
        is_tar = layer.mediaType.endswith((".tar", ".tar+gzip", ".tar.gzip", ".tar.gz"))
        title = next((layer.annotations[one] for one in TITLES if one in layer.annotations), None)
        if title is not None:
            check_path(title)
        if title is None and not is_tar:
            continue
        name = f"layer {number}" if is_tar or title is None else PurePosixPath(title).name
        if names_tar(name) != is_tar:
            continue
        if name in layers:
            raise SourceError(f"it holds two files called {quoted(name)}")
        layers[name] = Layer(name, layer.digest, layer.size)
    return _checked(layers)


def _checked(layers: dict[str, Layer]) -> tuple[Layer, ...]:
    files = wanted_files({name for name, layer in layers.items() if not layer.is_tar})
    for layer in layers.values():
        limit = TAR_BYTES if layer.is_tar else files.get(layer.name)
        if limit is not None and layer.size > limit:
            raise SourceError(f"{layer.name} has {layer.size} bytes; the limit is {limit}")

    tars = [layer for layer in layers.values() if layer.is_tar]
    missing = what_is_missing(files)
    if missing is not None and not tars:
        raise SourceError(f"{missing} among the files of the artifact")
    return (*(layers[name] for name in sorted(files)), *tars)


def check_path(path: str) -> None:
    """Raise SourceError for a path that leads out of the folder that it is unpacked into."""
    parts = PurePosixPath(path).parts
    if not parts or ".." in parts or parts[0].startswith("/") or "\\" in path or "\0" in path:
        raise SourceError(f"the path {quoted(path)} climbs out of the adapter's folder")


def unpack(archive: Path, into: Path) -> None:
    """Unpack the adapter's files of a tar, plain or packed by gzip, into a folder.

    Blocks. Raises SourceError, a lasting one: what has the digest of a layer is always the same.
    """
    try:
        with archive.open("rb") as file:
            packed = file.read(len(_GZIP)) == _GZIP
            file.seek(0)
            tar = BoundedTar(file, 2 * TAR_BYTES, _too_large, packed=packed)
            for number, member in enumerate(tar):
                check_path(member.name)
                if number >= MEMBERS_AT_MOST:
                    raise _too_large()
                _unpack_member(tar, member, into)
    except SourceError as error:
        raise SourceError(error.message, lasting=True) from error
    except Damaged as error:
        reason = f"its archive cannot be read: {quoted(str(error))}"
        raise SourceError(reason, lasting=True) from error


def _too_large() -> SourceError:
    return SourceError("its archive is larger than an adapter can be")


def _unpack_member(tar: BoundedTar, member: tarfile.TarInfo, into: Path) -> None:
    if member.isdir():
        return
    if not member.isreg():
        raise SourceError(f"{quoted(member.name)} in its archive is a link or a device")

    name = PurePosixPath(member.name).name
    limit = wanted_files({name}).get(name)
    if limit is None:
        return
    if member.size > limit:
        raise SourceError(f"{name} has {member.size} bytes; the limit is {limit}")
    source = tar.open(member)
    if source is None or (into / name).exists():
        raise SourceError(f"its archive holds two files called {quoted(name)}")
    with (into / name).open("xb") as target:
        while True:
            with parsing():
                chunk = source.read(1 << 20)
            if not chunk:
                return
            target.write(chunk)
