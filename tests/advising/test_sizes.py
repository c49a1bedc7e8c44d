"""Sizes from folders: of a small base and of adapters beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.advising.sizes import EIGHT_BILLION, adapter_sizes, base_sizes
from lorabay.errors import SetupError
from tests import making


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "base")


def with_config(base: Path, **fields: object) -> Path:
    path = base / "config.json"
    config = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))
    return base


def test_a_base_is_as_large_as_its_weights(base: Path) -> None:
    """And a token of its cache as two numbers of each head and layer."""
    with_config(
        base,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        hidden_size=576,
        head_dim=None,
        max_position_embeddings=2048,
    )
    sizes = base_sizes(base)
    assert sizes.weights == (base / "model.safetensors").stat().st_size
    assert sizes.key_value == 2 * 30 * 3 * 64 * 2
    assert sizes.context == 2048
    assert base_sizes(with_config(base, head_dim=128)).key_value == 2 * 30 * 3 * 128 * 2
    assert base_sizes(with_config(base, max_position_embeddings=131_072)).context == 8192


def test_a_config_that_says_too_little_is_one_line(base: Path) -> None:
    """It says what to give instead."""
    with_config(base, num_attention_heads=None)
    with pytest.raises(SetupError, match="give --key-value-kib"):
        base_sizes(base)
    assert base_sizes(base, key_value=7).key_value == 7


def test_adapters_are_the_folders_that_have_weights(tmp_path: Path) -> None:
    """Hidden ones and others do not count."""
    for name, size in {"finance": 5, "shop": 7, ".new": 9}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_model.safetensors").write_bytes(b"x" * size)
    (tmp_path / "notes").mkdir()
    assert adapter_sizes(tmp_path) == {"finance": 5, "shop": 7}
    with pytest.raises(SetupError, match="cannot read the adapters"):
        adapter_sizes(tmp_path / "nowhere")


def test_eight_billion_is_llama_3() -> None:
    """Its cache is 128 KiB a token."""
    assert EIGHT_BILLION.key_value == 2 * 32 * 8 * 128 * 2
    assert 14.9 < EIGHT_BILLION.weights / 2**30 < 15.0
