"""The folder of one version: weights, and what shares them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.catalog.admission import Checks
from lorabay.catalog.storage import stored_version
from lorabay.catalog.storage.stored_version import (
    DEFAULTS_FILE,
    LAYOUT,
    MANIFEST_FILE,
    Made,
    StoredVersion,
)
from lorabay.catalog.versions import Digest
from lorabay.files.adapter_folder import CONFIG_FILE, WEIGHTS_FILE
from lorabay.reasons import Rejected
from tests import making


def make(tmp_path: Path, checks: Checks, text: str = "") -> Made:
    source, work = tmp_path / "source", tmp_path / "work"
    making.make_adapter(source)
    (source / "lorabay.toml").write_text(text)
    work.mkdir()
    made = stored_version.make(source, work, checks)
    assert isinstance(made, Made), made
    return made


def placed(tmp_path: Path, made: Made) -> Path:
    """Give the folders their places, as the store does."""
    versions = tmp_path / "versions"
    versions.mkdir()
    weights = made.spec.weights_digest
    assert weights is not None
    made.weights.rename(versions / weights)
    if made.sharing is not None:
        made.sharing.rename(versions / made.spec.digest)
    return versions


def read(versions: Path, digest: Digest) -> StoredVersion:
    stored = stored_version.read(versions, digest)
    assert stored is not None
    return stored


def test_without_defaults_a_version_is_its_weights(tmp_path: Path, checks: Checks) -> None:
    """In one folder, with a manifest that an older server understands."""
    made = make(tmp_path, checks)
    assert made.sharing is None
    versions = placed(tmp_path, made)
    assert read(versions, made.spec.digest).spec == made.spec
    manifest = json.loads((versions / made.spec.digest / MANIFEST_FILE).read_bytes())
    assert manifest["layout"] == LAYOUT
    assert "weights_digest" not in manifest["spec"]


def test_a_version_with_defaults_shares_its_weights(tmp_path: Path, checks: Checks) -> None:
    """Its own folder has no tensors; both are read-only, and whole."""
    made = make(tmp_path, checks, 'description = "An adapter"')
    versions = placed(tmp_path, made)
    own, weights = versions / made.spec.digest, versions / str(made.spec.weights_digest)
    assert {path.name for path in own.iterdir()} == {DEFAULTS_FILE, MANIFEST_FILE}
    assert {path.name for path in weights.iterdir()} == {CONFIG_FILE, WEIGHTS_FILE, MANIFEST_FILE}
    assert {path.stat().st_mode & 0o777 for path in (*own.iterdir(), *weights.iterdir())} == {0o444}

    stored = read(versions, made.spec.digest)
    assert (stored.spec, stored.defaults) == (made.spec, made.defaults)
    assert stored.defaults.description == "An adapter"
    assert stored.weights == made.spec.weights_digest
    assert stored_version.weights_of(versions, made.spec.digest) == stored.weights
    plain = read(versions, stored.weights)
    assert plain.spec.digest == stored.weights
    assert stored_version.weights_of(versions, stored.weights) == stored.weights


def test_a_refused_folder_makes_nothing(tmp_path: Path, checks: Checks) -> None:
    """Reasons against its defaults come beside those against its weights."""
    source, work = tmp_path / "source", tmp_path / "work"
    making.make_adapter(source, config=making.lora_config(r=3))
    (source / "lorabay.toml").write_text("x = 1")
    work.mkdir()
    result = stored_version.make(source, work, checks)
    assert isinstance(result, Rejected)
    assert {"defaults_file", "rank"} <= result.codes
    assert not list(work.iterdir())


@pytest.mark.parametrize("lost", ["weights", "weights' bytes", "defaults", "manifest"])
def test_a_version_is_whole_if_its_weights_are(tmp_path: Path, checks: Checks, lost: str) -> None:
    """Otherwise it counts as absent, and is made again."""
    made = make(tmp_path, checks, 'tags = ["a"]')
    versions = placed(tmp_path, made)
    own, weights = versions / made.spec.digest, versions / str(made.spec.weights_digest)
    if lost == "weights":
        weights.rename(tmp_path / "away")
    elif lost == "weights' bytes":
        (weights / WEIGHTS_FILE).chmod(0o600)
        (weights / WEIGHTS_FILE).write_bytes(b"")
    elif lost == "defaults":
        (own / DEFAULTS_FILE).unlink()
    else:
        (own / MANIFEST_FILE).unlink()
    assert stored_version.read(versions, made.spec.digest) is None


def test_defaults_that_are_not_the_versions_are_noticed(tmp_path: Path, checks: Checks) -> None:
    """Also those of the same size: a digest names what it is made of."""
    made = make(tmp_path, checks, 'tags = ["a"]')
    versions = placed(tmp_path, made)
    file = versions / made.spec.digest / DEFAULTS_FILE
    file.chmod(0o600)
    file.write_text(file.read_text().replace('"a"', '"b"'))
    assert stored_version.read(versions, made.spec.digest) is None


def test_of_a_damaged_manifest_no_weights_are_known(tmp_path: Path) -> None:
    """Nobody can use what it shares; what is not there shares nothing."""
    digest = Digest("a" * 64)
    assert stored_version.weights_of(tmp_path, digest) is None
    (tmp_path / digest).mkdir()
    for content in ("", "[]", "{}", '{"spec": 7}'):
        (tmp_path / digest / MANIFEST_FILE).write_text(content)
        assert stored_version.weights_of(tmp_path, digest) is None
        assert stored_version.read(tmp_path, digest) is None
