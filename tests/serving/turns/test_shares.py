"""A file of shares, and every way to get it wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.errors import SetupError
from lorabay.serving.turns.flows import Flow, Priority
from lorabay.serving.turns.shares import Shares, read_shares

FILE = """
[[share]]
tenant = "finance"
weight = 3
priority = "high"

[[share]]
tenant = "nightly"
priority = "low"

[[share]]
adapter = "shop"
weight = 0.5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "shares.toml"
    path.write_text(text)
    return path


def test_a_flow_has_the_shares_of_its_tenant_and_adapter(tmp_path: Path) -> None:
    """Whoever is not named has weight 1 and the usual priority."""
    shares = read_shares(write(tmp_path, FILE))
    assert shares.flow("finance", "shop") == Flow("finance", "shop", Priority.HIGH, 3.0, 0.5)
    assert shares.flow("nightly", "x") == Flow("nightly", "x", Priority.LOW)
    assert shares.flow("other", "x") == Flow("other", "x")
    assert Shares().flow("finance", "shop") == Flow("finance", "shop")


def test_an_empty_file_makes_everybody_equal(tmp_path: Path) -> None:
    """It is no mistake."""
    assert read_shares(write(tmp_path, "")).flow("a", "b") == Flow("a", "b")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[share]]\nweight = 1", "name a tenant or an adapter"),
        ("[[share]]\ntenant = 'a'\nadapter = 'b'", "name a tenant or an adapter"),
        ("[[share]]\nadapter = 'b'\npriority = 'high'", "an adapter has no priority"),
        ("[[share]]\ntenant = 'a'\nweight = 0", "share.0.weight"),
        ("[[share]]\ntenant = 'a'\nweight = nan", "share.0.weight"),
        ("[[share]]\ntenant = 'a'\npriority = 'top'", "share.0.priority"),
        ("[[share]]\ntenant = 'a'\nwait = 1", "share.0.wait"),
        ("[[share]]\ntenant = 'a'\n[[share]]\ntenant = 'a'", "two shares for tenant 'a'"),
        ("[share", "cannot be read"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    """With what is wrong, and where."""
    with pytest.raises(SetupError, match=says):
        read_shares(write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(SetupError, match="No such file"):
        read_shares(tmp_path / "nothing.toml")
