"""The base's token embeddings."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lorabay.base.causal_lm import load_model, load_tokenizer
from lorabay.errors import SetupError
from lorabay.routing.encoder import MOST_TOKENS, Encoder
from tests import making
from tests.peft_adapters import make_gpt2
from tests.tokenizers import save_numbered_tokenizer

TEXTS = ("Where is my parcel?", "我的包裹在哪里？", "x" * 3 * MOST_TOKENS)


def even(encoder: Encoder) -> NDArray[np.float32]:
    return np.ones(encoder.vocabulary, np.float32)


def test_a_vector_is_the_mean_embedding_of_its_tokens(tiny_base: Path) -> None:
    """As transformers has them, up to a number of tokens, and by the tokens' weights."""
    table = load_model(tiny_base).get_input_embeddings().weight.detach().numpy()
    tokenizer, encoder = load_tokenizer(tiny_base), Encoder.read(tiny_base)
    assert (encoder.vocabulary, encoder.width) == table.shape

    for text in TEXTS:
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"][:MOST_TOKENS]
        assert encoder.tokens(text) == tokens
        expected = table[tokens].mean(axis=0)
        np.testing.assert_allclose(encoder.mean(tokens, even(encoder)), expected, atol=1e-5)

    first, *_ = tokens = encoder.tokens(TEXTS[0])
    weights = np.full(encoder.vocabulary, 1e-9, np.float32)
    weights[first] = 1.0
    np.testing.assert_allclose(encoder.mean(tokens, weights), table[first], atol=1e-5)


def test_a_text_without_tokens_has_a_vector(tiny_base: Path) -> None:
    """Of zeros."""
    encoder = Encoder.read(tiny_base)
    assert encoder.mean(encoder.tokens(""), even(encoder)).tolist() == [0.0] * encoder.width


def test_other_architectures_have_an_embedding_too(tmp_path: Path) -> None:
    """Whatever it is called."""
    base = make_gpt2(tmp_path / "gpt2")
    save_numbered_tokenizer(base, 64)
    encoder = Encoder.read(base)
    assert encoder.mean(encoder.tokens("w7 w8"), even(encoder)).any()


def test_a_base_without_its_parts_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    """A tokeniser file and an embedding."""
    base = shutil.copytree(tiny_base, tmp_path / "base")
    (base / "tokenizer.json").unlink()
    with pytest.raises(SetupError, match=r"tokenizer\.json"):
        Encoder.read(base)

    tensors = making.load(tiny_base / "model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "embed" not in name}
    making.save(base / "model.safetensors", kept)
    with pytest.raises(SetupError, match="no token embedding"):
        Encoder.read(base)
