"""An adapter in a real registry: by tag, by digest, moved, corrupted, climbing."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from pathlib import Path

import pytest

from lorabay.sources.claims import Claims
from lorabay.sources.interface import Source, SourceError
from lorabay.sources.locations import read_location
from lorabay.sources.mirror import Mirror, MirrorTimes
from lorabay.sources.mirror_folder import MirrorFolder
from lorabay.sources.oci_reference import read_reference
from lorabay.sources.oci_registry import OciRegistry
from lorabay.sources.opening import open_source
from lorabay.sources.pace import Pace
from lorabay.sources.push_registry import push_to_registry
from lorabay.sources.pushed import adapters_in
from tests.fixtures.registries import PASSWORD, USER, Registry
from tests.sources.made import CONFIG, WEIGHTS, content_of, no_bar, write


@pytest.fixture
def repository(request: pytest.FixtureRequest, oci_registry: Registry) -> str:
    """A repository that no other test uses."""
    return f"{oci_registry.host}/{request.node.name.lower().replace('_', '-')}"


async def pushed(repository: str, folder: Path, tag: str = "prod") -> str:
    """The digest of an adapter's folder, pushed."""
    registry = OciRegistry(read_reference(f"{repository}:{tag}"), "pull,push")
    digest = await push_to_registry(registry, adapters_in(folder)[0], no_bar)
    await registry.close()
    return digest


class Bay:
    """One registry's adapter, mirrored."""

    def __init__(self, url: str, path: Path) -> None:
        self.folder = MirrorFolder(path)
        self.folder.open()
        self.source: Source = open_source(read_location(url))
        claims = Claims((self.source.location,))
        self.mirror = Mirror(self.source, self.folder, claims, MirrorTimes(settle_s=0))

    async def round(self) -> None:
        """List, fetch and put in place."""
        await self.mirror.round()
        await self.source.close()


async def test_by_tag_and_by_digest(repository: str, tmp_path: Path) -> None:
    """A moved tag swaps; a digest stays what it was; both show what is there."""
    first = await pushed(repository, write(tmp_path / "finance", "1"))
    by_tag = Bay(f"tagged=oci://{repository}:prod", tmp_path / "one")
    by_digest = Bay(f"fixed=oci://{repository}@{first}", tmp_path / "two")
    for bay in (by_tag, by_digest):
        await bay.round()

    second = await pushed(repository, write(tmp_path / "finance", "2"))
    for bay in (by_tag, by_digest):
        await bay.round()
    assert content_of(tmp_path / "one" / "tagged") == {"2"}
    assert content_of(tmp_path / "two" / "fixed") == {"1"}
    assert by_tag.mirror.describe()["adapters"] == [{"name": "tagged", "at": second}]
    assert by_digest.mirror.describe()["adapters"] == [{"name": "fixed", "at": first}]


async def test_two_names_for_one_artifact(repository: str, tmp_path: Path) -> None:
    """Bug: each took the other's folder for one of its own that was gone, and removed it."""
    await pushed(repository, write(tmp_path / "finance", "1"))
    folder = MirrorFolder(tmp_path / "mirror")
    folder.open()
    sources = [open_source(read_location(f"{name}=oci://{repository}:prod")) for name in "ab"]
    claims = Claims(tuple(source.location for source in sources))
    mirrors = [Mirror(source, folder, claims, MirrorTimes(settle_s=0)) for source in sources]
    for mirror in mirrors * 2:
        await mirror.round()
        await mirror.source.close()
    assert folder.notes().keys() == {"a", "b"}


async def test_a_corrupted_blob_is_refused(
    repository: str, oci_registry: Registry, tmp_path: Path
) -> None:
    """The old version stays, and the reason names the file and both digests."""
    await pushed(repository, write(tmp_path / "finance", "1"))
    bay = Bay(f"finance=oci://{repository}:prod", tmp_path / "mirror")
    await bay.round()
    await pushed(repository, write(tmp_path / "finance", "2"))
    spoil(oci_registry, tmp_path / "finance" / WEIGHTS)
    await bay.round()
    assert content_of(tmp_path / "mirror" / "finance") == {"1"}
    (refused,) = bay.mirror.describe()["refused"]
    assert refused["name"] == "finance"
    assert f"{WEIGHTS} has the digest" in refused["reason"]


def spoil(registry: Registry, file: Path) -> None:
    """Change the blob of a file on the registry's disk, and keep its size."""
    import hashlib

    content = file.read_bytes()
    registry.blob(hashlib.sha256(content).hexdigest()).write_bytes(content[::-1])


async def test_a_path_that_climbs_is_refused(repository: str, tmp_path: Path) -> None:
    """Nothing is written outside of the mirror, and the reason is shown."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        info = tarfile.TarInfo("../../escaped/" + CONFIG)
        info.size = 2
        tar.addfile(info, io.BytesIO(b"{}"))
    await push_archive(repository, archive.getvalue())
    bay = Bay(f"finance=oci://{repository}:prod", tmp_path / "mirror")
    await bay.round()
    (refused,) = bay.mirror.describe()["refused"]
    assert "climbs out of the adapter's folder" in refused["reason"]
    assert not list(tmp_path.rglob(CONFIG))


async def push_archive(repository: str, content: bytes) -> None:
    """Push a layer that is a tar."""
    import hashlib

    registry = OciRegistry(read_reference(f"{repository}:prod"), "pull,push")
    blobs = {f"sha256:{hashlib.sha256(one).hexdigest()}": one for one in (content, b"{}")}
    for digest, blob in blobs.items():
        async with registry.request("POST", "blobs/uploads/") as begun:
            url = f"{begun.headers['location']}&digest={digest}"
        async with registry.request("PUT", url, content=blob):
            pass
    (layer, config) = blobs
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": config,
            "size": 2,
        },
        "layers": [
            {
                "mediaType": "application/vnd.cncf.model.weight.v1.tar",
                "digest": layer,
                "size": len(content),
            }
        ],
    }
    headers = {"content-type": manifest["mediaType"]}
    body = json.dumps(manifest).encode()
    async with registry.request("PUT", "manifests/prod", headers=headers, content=body):
        pass
    await registry.close()


async def test_a_tag_that_moves_while_its_adapter_is_fetched(
    repository: str, tmp_path: Path
) -> None:
    """Bug: what was listed was fetched by the layers of the next list."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        tar.add(write(tmp_path / "finance", "1"), "finance")
    await push_archive(repository, content.getvalue())
    source = open_source(read_location(f"finance=oci://{repository}:prod"))
    offer = (await source.list()).offers["finance"]

    await pushed(repository, write(tmp_path / "finance", "2"))
    assert (await source.list()).offers["finance"].marks != offer.marks
    (tmp_path / "into").mkdir()
    await source.fetch(offer, tmp_path / "into", Pace())
    await source.close()
    assert content_of(tmp_path / "into") == {"1"}


async def test_what_does_not_exist(repository: str) -> None:
    """A tag that nobody has pushed."""
    source = open_source(read_location(f"oci://{repository}:never"))
    with pytest.raises(SourceError, match=r":never does not exist"):
        await source.list()
    await source.close()


async def test_a_registry_that_wants_a_password(
    closed_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one the reason says how to log in; with the one of `docker login` all works."""
    repository = f"{closed_registry.host}/finance"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    source = open_source(read_location(f"oci://{repository}:prod"))
    with pytest.raises(SourceError, match="docker login"):
        await source.list()
    await source.close()

    auth = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    auths = {"auths": {closed_registry.host: {"auth": auth}}}
    (tmp_path / "config.json").write_text(json.dumps(auths))
    digest = await pushed(repository, write(tmp_path / "finance", "1"))
    source = open_source(read_location(f"oci://{repository}:prod"))
    offer = (await source.list()).offers["finance"]
    assert offer.at == digest
    (tmp_path / "into").mkdir()
    await source.fetch(offer, tmp_path / "into", Pace())
    await source.close()
    assert content_of(tmp_path / "into") == {"1"}


async def test_nothing_is_sent_twice(
    repository: str, oci_registry: Registry, tmp_path: Path
) -> None:
    """What the registry has already is only named; the tag leads to the same digest."""
    folder = write(tmp_path / "finance", "1")
    assert await pushed(repository, folder) == await pushed(repository, folder)
