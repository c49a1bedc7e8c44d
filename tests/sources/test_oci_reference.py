"""What an `oci://` location means."""

from __future__ import annotations

import pytest

from lorabay.errors import UsageError
from lorabay.sources.oci_reference import read_reference

DIGEST = "sha256:" + "a" * 64


def test_a_reference_in_its_parts() -> None:
    """The tag is `latest` unless one is named; a digest wins over it."""
    reference = read_reference("ghcr.io/acme/finance")
    assert (reference.wanted, reference.name) == ("latest", "finance")
    assert reference.base_url == "https://ghcr.io"
    assert read_reference(f"r.io/a/b:prod@{DIGEST}").wanted == DIGEST
    assert read_reference("docker.io/acme/finance").base_url == "https://registry-1.docker.io"
    assert read_reference("127.0.0.1:5000/a:1").base_url == "http://127.0.0.1:5000"


@pytest.mark.parametrize("text", ["r.io", "r.io/UPPER", "r.io/a:b:c", "r.io/a@sha256:12", "/a"])
def test_what_is_no_reference(text: str) -> None:
    """The sentence shows the form."""
    with pytest.raises(UsageError, match="oci://REGISTRY/REPOSITORY"):
        read_reference(text)
