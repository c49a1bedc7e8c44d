"""Archives as honest people make them, and as others do."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests import making

Files = Mapping[str, bytes]
Pack = Callable[[Files], bytes]


def adapter_files(folder: Path) -> dict[str, bytes]:
    """Return the files of an adapter that a server serves; `folder` must be new."""
    making.make_adapter(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def below(name: str, files: Files) -> dict[str, bytes]:
    """Return the same files in a folder."""
    return {f"{name}/{path}": content for path, content in files.items()}


def as_tar(files: Files, mode: str = "w") -> bytes:
    """Return a tar of them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def as_tar_gz(files: Files) -> bytes:
    """Return a packed tar of them."""
    return as_tar(files, "w:gz")


def as_zip(files: Files) -> bytes:
    """Return a zip of them."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


PACKS: tuple[Pack, ...] = (as_tar, as_tar_gz, as_zip)


def tar_of(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    """Return a tar of one entry, as it is."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def link(kind: bytes) -> tarfile.TarInfo:
    """Return an adapter's config that is a link, or a device."""
    member = tarfile.TarInfo("adapter_config.json")
    member.type, member.linkname = kind, "/etc/passwd"
    return member


def zip_link() -> bytes:
    """Return a zip in which an adapter's config is a link."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        member = zipfile.ZipInfo("adapter_config.json")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    return packed.getvalue()
