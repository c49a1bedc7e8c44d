"""What an operator may write for `--adapters`."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import UsageError
from lorabay.sources.locations import (
    LIST_BYTES,
    Location,
    followed_folder,
    is_plain_folder,
    read_location,
    read_locations,
)


def test_every_kind_of_source() -> None:
    """A text without a scheme is a folder; a name may stand before what holds one adapter."""
    assert read_location("./adapters") == Location("folder", "adapters")
    assert read_location("s3://bucket/a/b") == Location("s3", "bucket/a/b")
    assert read_location("ads=hf://org/x@main") == Location("hf", "org/x@main", "ads")
    assert str(read_location("ads=oci://r.io/x:1")) == "ads=oci://r.io/x:1"
    assert read_location("oci://r.io/x:1").url == "oci://r.io/x:1"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/x", "no source of the kind ftp://"),
        ("s3://", "names no bucket"),
        ("hf:///", "names no repository"),
        ("s3://key:secret@bucket/x", "takes its credentials from the environment"),
        ("ads=s3://bucket/x", "have their folders' names"),
        ("a b=oci://r.io/x", "must start with an ASCII letter"),
        ("base=oci://r.io/x", "belongs to the base"),
        ("", "empty source"),
    ],
)
def test_what_names_no_source_is_wrong_usage(text: str, said: str) -> None:
    """The sentence says what is wrong."""
    with pytest.raises(UsageError, match=said):
        read_location(text)


def test_a_list_of_sources_in_a_file(tmp_path: Path) -> None:
    """One a line; comments and empty lines are passed over."""
    path = tmp_path / "sources.txt"
    path.write_text("# all of them\ns3://bucket/a  # the main one\n\nads=hf://org/x\n")
    assert [str(one) for one in read_locations([f"@{path}", "adapters"])] == [
        "s3://bucket/a",
        "ads=hf://org/x",
        "adapters",
    ]


@pytest.mark.parametrize(
    "content", ["@other.txt\n", "s3://b/a\ns3://b/a\n", "./a\na\n", "# none\n"]
)
def test_a_bad_list_is_wrong_usage(tmp_path: Path, content: str) -> None:
    """A list in a list, a source named twice, no source at all."""
    path = tmp_path / "sources.txt"
    path.write_text(content)
    with pytest.raises(UsageError):
        read_locations([f"@{path}"])
    with pytest.raises(UsageError, match="cannot be read"):
        read_locations([f"@{tmp_path / 'nowhere'}"])


def test_a_list_that_is_too_long_is_wrong_usage(tmp_path: Path) -> None:
    """Bug: what stood behind its first MiB was left out in silence."""
    path = tmp_path / "sources.txt"
    path.write_text("s3://bucket/a\n" + "# é\n" * LIST_BYTES)
    with pytest.raises(UsageError, match="has more than 1048576 bytes"):
        read_locations([f"@{path}"])


def test_one_folder_is_followed_itself(tmp_path: Path) -> None:
    """Everything else is mirrored beside the store's versions, each set of sources in its place."""
    assert followed_folder(("adapters",), tmp_path) == Path("adapters")
    assert is_plain_folder(("with, comma",))
    mirrored = followed_folder(("adapters", "s3://b/x"), tmp_path)
    assert mirrored.is_relative_to(tmp_path)
    assert mirrored == followed_folder(("s3://b/x", "adapters"), tmp_path)
    assert mirrored != followed_folder(("s3://b/x",), tmp_path)
