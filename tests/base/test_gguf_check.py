"""The check of a converted base notices every way in which a conversion goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from lorabay.base import gguf_check
from lorabay.base.causal_lm import load_tokenizer
from lorabay.base.default import find_gguf
from lorabay.base.gguf_check import check, check_source, difference, recorded_answers
from lorabay.errors import SetupError
from tokenizers import pre_tokenizers

if TYPE_CHECKING:
    from tests.fixtures.models import Prepared


def _unpermuted(weight: torch.Tensor) -> torch.Tensor:
    """Rows in the order of GGUF's rotary embedding instead of transformers'."""
    heads = weight.shape[0] // 64
    return weight.view(heads, 2, 32, -1).transpose(1, 2).reshape(weight.shape)


def _one_block_scaled(weight: torch.Tensor) -> torch.Tensor:
    """The first block of 32 of every row with a wrong scale."""
    return torch.cat((weight[:, :32] * 4, weight[:, 32:]), dim=1)


def test_a_good_conversion_passes(base_model: Any, base_tokenizer: Any) -> None:
    """The prepared base answers as llama.cpp does."""
    assert difference(base_model, base_tokenizer, recorded_answers()) is None


@pytest.mark.parametrize(
    ("module", "corrupt"),
    [
        ("layers.0.self_attn.q_proj", _unpermuted),
        ("layers.15.self_attn.q_proj", _unpermuted),
        ("layers.29.self_attn.k_proj", _unpermuted),
        ("layers.15.mlp.down_proj", lambda weight: weight * 1.5),
        ("layers.5.mlp.up_proj", _one_block_scaled),
        ("layers.20.self_attn.o_proj", torch.zeros_like),
    ],
)
def test_one_corrupt_tensor_is_noticed(
    base_model: Any,
    base_tokenizer: Any,
    module: str,
    corrupt: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    """One wrong tensor of one layer of thirty changes an answer."""
    weight = base_model.get_decoder().get_submodule(module).weight.data
    good = weight.clone()
    weight.copy_(corrupt(good))
    try:
        problem = difference(base_model, base_tokenizer, recorded_answers())
    finally:
        weight.copy_(good)
    assert problem is not None
    assert "otherwise than its GGUF file" in problem


def test_a_tokenizer_that_does_not_split_digits_is_noticed(
    base_model: Any, prepared: Prepared
) -> None:
    """This is the bug of transformers' reader: without the digit rule "a  2" has other tokens."""
    tokenizer = load_tokenizer(prepared.folder)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    problem = difference(base_model, tokenizer, recorded_answers())
    assert problem is not None
    assert "into other tokens" in problem


def test_a_wrong_model_is_refused(tiny_base: Path) -> None:
    """`check` turns a difference into an expected failure."""
    with pytest.raises(SetupError, match="the conversion of the base went wrong"):
        check(tiny_base, recorded_answers())


def test_the_recording_belongs_to_the_installed_file(tmp_path: Path) -> None:
    """The recording was made from the file in the package, and no other file passes."""
    check_source(find_gguf(), recorded_answers())
    (tmp_path / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(SetupError, match="reinstall"):
        check_source(tmp_path / "other.gguf", recorded_answers())


def test_the_recording_is_readable(base_tokenizer: Any) -> None:
    """Each answer's tokens are its text, and there are enough answers to mean something."""
    recorded = recorded_answers()
    assert len(recorded.answers) >= 6
    assert sum(len(answer.tokens) for answer in recorded.answers) >= 100
    for answer in recorded.answers:
        assert base_tokenizer.decode(answer.tokens, skip_special_tokens=True) == answer.text


def test_bytes_that_passed_before_are_not_asked_again(
    prepared: Prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking takes seconds of a first start. One other byte, and it is asked."""
    recorded = recorded_answers()
    for name in recorded.converted_sha256:
        (tmp_path / name).symlink_to(prepared.folder / name)
    asked: list[Path] = []

    def load(folder: Path) -> None:
        asked.append(folder)
        raise SetupError("asked")

    monkeypatch.setattr(gguf_check, "load_model", load)
    known = {name: gguf_check._sha256(tmp_path / name) for name in recorded.converted_sha256}
    passed = recorded.model_copy(update={"converted_sha256": known})
    check(tmp_path, passed)
    assert asked == []

    (tmp_path / "config.json").unlink()
    for config in ("{}", None):
        if config is not None:
            (tmp_path / "config.json").write_text(config)
        else:
            (tmp_path / "config.json").unlink()
        with pytest.raises(SetupError, match="asked"):
            check(tmp_path, passed)
