"""Results on stdout."""

from __future__ import annotations

import json

import pytest

from lorabay.cli.output import print_json, print_report


def test_json_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"adapter": "财务", "rank": 8})
    assert json.loads(capsys.readouterr().out) == {"adapter": "财务", "rank": 8}


def test_names_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and colons in a folder's name are neither markup nor an emoji."""
    print_report("adapters/[bold]:smile:")
    assert capsys.readouterr().out == "adapters/[bold]:smile:\n"
