"""What may be pushed where."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import UsageError
from lorabay.sources.locations import read_location
from lorabay.sources.push import check_push, push
from tests.fixtures.registries import Registry
from tests.sources.made import no_bar, write


def test_a_hub_and_a_folder_take_nothing(tmp_path: Path) -> None:
    """The sentence says what does."""
    write(tmp_path / "finance", "1")
    for target in ("hf://acme/finance", str(tmp_path)):
        with pytest.raises(UsageError, match="pushed to s3://"):
            check_push(tmp_path, read_location(target))


def test_a_repository_holds_one_adapter(tmp_path: Path) -> None:
    """A folder of several goes to several repositories."""
    for name in ("finance", "ads"):
        write(tmp_path / name, "1")
    with pytest.raises(UsageError, match="holds one adapter"):
        check_push(tmp_path, read_location("oci://r.io/finance:prod"))


def test_a_digest_takes_nothing(oci_registry: Registry, tmp_path: Path) -> None:
    """It is what something has, not where something goes."""
    write(tmp_path / "finance", "1")
    location = read_location(f"oci://{oci_registry.host}/finance@sha256:{'0' * 64}")
    with pytest.raises(UsageError, match="pushed to a tag"):
        push(check_push(tmp_path, location), location, no_bar)


def test_the_digest_of_what_was_pushed(oci_registry: Registry, tmp_path: Path) -> None:
    """It is what a server that is pinned to it has to be told."""
    write(tmp_path / "finance", "1")
    location = read_location(f"oci://{oci_registry.host}/push-says/finance:prod")
    (digest,) = push(check_push(tmp_path, location), location, no_bar).values()
    assert digest is not None
    assert digest.startswith("sha256:")
