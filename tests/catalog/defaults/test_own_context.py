"""A model's config beside an adapter is held against the base's context."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lorabay.base.context import Context
from lorabay.catalog.defaults.own_context import context_warnings

if TYPE_CHECKING:
    from pathlib import Path

BASE = Context.of({"max_position_embeddings": 64, "rope_theta": 1e4, "rope_scaling": None})


def test_another_context_is_told_with_the_way_out(tmp_path: Path) -> None:
    """The engine has the base's; what was trained with another would answer worse, unannounced."""
    config = {"max_position_embeddings": 256, "rope_scaling": {"type": "linear", "factor": 4}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (warning,) = context_warnings(tmp_path, BASE)
    assert "256 positions in place of 64, another scaling" in warning
    assert "lorabay merge" in warning


@pytest.mark.parametrize(
    "content", [None, b"{}", b"[]", b"no JSON", b"[" * 9999, b'{"max_position_embeddings": 64}']
)
def test_anything_else_says_nothing(content: bytes | None, tmp_path: Path) -> None:
    """No file, one that is damaged, and the base's own config are no reason for a word."""
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    assert list(context_warnings(tmp_path, BASE)) == []
