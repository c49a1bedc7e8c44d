"""`lorabay push` and `pull` as one types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.cli import run
from tests.fixtures.buckets import BUCKET
from tests.fixtures.registries import Registry
from tests.sources.made import content_of, write


@pytest.mark.usefixtures("s3_environment")
def test_to_a_bucket_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each adapter, or JSON."""
    for name in ("finance", "ads"):
        write(tmp_path / "made" / name, "1")
    url = f"s3://{BUCKET}/to-a-bucket-and-back"
    assert run(["push", str(tmp_path / "made"), url]) == 0
    assert capsys.readouterr().out == "ads: pushed\nfinance: pushed\n"
    assert run(["pull", url, str(tmp_path / "here"), "--json"]) == 0
    pulled = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in pulled["adapters"]] == ["ads", "finance"]
    assert content_of(tmp_path / "here" / "finance") == {"1"}


def test_to_a_registry_and_back(
    oci_registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The digest is shown both times."""
    url = f"oci://{oci_registry.host}/to-a-registry/finance:prod"
    assert run(["push", str(write(tmp_path / "finance", "1")), url]) == 0
    digest = capsys.readouterr().out.split()[-1]
    assert run(["pull", url, str(tmp_path / "here")]) == 0
    assert capsys.readouterr().out == f"finance: here, {digest}\n"


def test_failures_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is 2, what may pass is 1."""
    write(tmp_path / "finance", "1")
    assert run(["push", str(tmp_path), "ftp://host/x"]) == 2
    assert "no source of the kind ftp://" in capsys.readouterr().err
    assert run(["pull", "oci://127.0.0.1:1/finance", str(tmp_path / "here")]) == 1
    assert "does not answer" in capsys.readouterr().err
    assert run(["push", str(tmp_path / "nowhere"), "s3://b/x"]) == 1
    assert "cannot be pushed" in capsys.readouterr().err
