"""Versions appear whole, and go without ever being half there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.catalog.admission import Checks
from lorabay.catalog.names import AdapterName
from lorabay.catalog.storage import stored_version
from lorabay.catalog.storage.stored_version import Made
from lorabay.catalog.storage.version_folders import VersionFolders
from lorabay.catalog.storage.work_folder import WorkFolder
from lorabay.files.adapter_folder import WEIGHTS_FILE
from tests import making


@pytest.fixture
def versions(tmp_path: Path) -> VersionFolders:
    for name in ("versions", "work"):
        (tmp_path / name).mkdir()
    return VersionFolders(tmp_path / "versions", WorkFolder(tmp_path / "work", "mine"))


def make(folder: Path, checks: Checks, defaults: str = "") -> Made:
    making.make_adapter(folder / "source")
    (folder / "source" / "lorabay.toml").write_text(defaults)
    (folder / "made").mkdir()
    made = stored_version.make(folder / "source", folder / "made", checks)
    assert isinstance(made, Made), made
    return made


def test_a_version_appears_with_the_weights_that_it_shares(
    tmp_path: Path, versions: VersionFolders, checks: Checks
) -> None:
    """Its files are in the folder of the weights, whatever defaults it has."""
    made = make(tmp_path / "one", checks, 'description = "one"')
    versions.add(made)
    assert versions.digests() == sorted([made.spec.digest, made.spec.weights])
    assert versions.with_weights({made.spec.digest}) == {made.spec.digest, made.spec.weights}

    version = versions.version(AdapterName("finance"), made.spec, made.defaults)
    assert version.path == tmp_path / "versions" / made.spec.weights
    weights = versions.read_weights(made.spec.digest)
    assert weights is not None
    assert weights.spec.digest == made.spec.weights


def test_a_damaged_version_is_replaced(
    tmp_path: Path, versions: VersionFolders, checks: Checks
) -> None:
    """A version that lost bytes counts as absent; what is whole stays as it is."""
    first, again = (make(tmp_path / name, checks) for name in ("one", "two"))
    versions.add(first)
    weights = tmp_path / "versions" / first.spec.digest / WEIGHTS_FILE
    weights.chmod(0o600)
    weights.write_bytes(b"")
    assert versions.read(first.spec.digest) is None

    versions.add(again)
    assert versions.read(first.spec.digest) is not None
    assert not list((tmp_path / "work").iterdir())


def test_what_shares_weights_goes_before_them(
    tmp_path: Path, versions: VersionFolders, checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the order of the digests is; a folder that is not ours stays."""
    (tmp_path / "versions" / "lost+found").mkdir()
    made = make(tmp_path / "one", checks, 'description = "one"')
    versions.add(made)
    order: list[str] = []
    really_rename = Path.rename

    def rename(path: Path, target: Path) -> Path:
        order.append(path.name)
        return really_rename(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    versions.remove(versions.digests())
    assert order == [made.spec.digest, made.spec.weights]
    assert versions.digests() == []
    assert (tmp_path / "versions" / "lost+found").is_dir()
