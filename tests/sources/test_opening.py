"""Each kind of location is opened by its module."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.sources.bucket import Bucket
from lorabay.sources.folder import Folder
from lorabay.sources.hub import HubRepository
from lorabay.sources.locations import read_location
from lorabay.sources.oci import OciArtifact
from lorabay.sources.opening import open_source


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("adapters", Folder),
        ("s3://bucket/prefix", Bucket),
        ("oci://r.io/finance:prod", OciArtifact),
        ("ads=oci://r.io/finance:prod", OciArtifact),
        ("hf://acme/finance", HubRepository),
        ("ads=hf://acme/finance@main", HubRepository),
    ],
)
def test_a_location_is_opened(text: str, kind: type) -> None:
    """Nothing is asked of it yet, and it is called what the operator wrote.

    Bug: two names for one place were called the same, and each removed the other's adapter.
    """
    source = open_source(read_location(text))
    assert isinstance(source, kind)
    assert source.location == text


@pytest.mark.parametrize("text", ["oci://r.io", "hf://finance"])
def test_a_location_that_cannot_be_opened(text: str) -> None:
    """It is wrong usage, before a server starts."""
    with pytest.raises(UsageError):
        open_source(read_location(text))
