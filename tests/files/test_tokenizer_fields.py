"""The fields of a tokenizer's files, as transformers writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.files.tokenizer_fields import (
    added_tokens,
    added_tokens_in_head,
    chat_template,
    end_token,
    end_token_ids,
    other_templates,
    vocabulary,
)
from tests.tokenizers import END, OTHER_END, TEMPLATE, save_tokenizer


def test_a_template_is_found_in_either_form(tmp_path: Path) -> None:
    """One alone, or the default of several, whose other names are told."""
    one = save_tokenizer(tmp_path / "one", legacy=True)
    config = json.loads((one / "tokenizer_config.json").read_bytes())
    assert chat_template(config) == TEMPLATE
    assert other_templates(config) == ()

    several = save_tokenizer(
        tmp_path / "several", template={"default": TEMPLATE, "tool_use": "{{ tools }}"}, legacy=True
    )
    config = json.loads((several / "tokenizer_config.json").read_bytes())
    assert chat_template(config) == TEMPLATE
    assert other_templates(config) == ("tool_use",)
    assert chat_template({}) is None


@pytest.mark.parametrize("value", [7, {"template": "x"}, [{"name": "default"}], [["default", "x"]]])
def test_another_form_of_templates_is_an_error(value: object) -> None:
    """Nobody knows which template would be meant."""
    with pytest.raises(ValueError, match="chat_template"):
        chat_template({"chat_template": value})


def test_an_end_token_is_a_text_or_an_object(tmp_path: Path) -> None:
    """transformers 4 saves the object that transformers 5 saves as a text."""
    folder = save_tokenizer(tmp_path / "a", end=OTHER_END)
    config = json.loads((folder / "tokenizer_config.json").read_bytes())
    assert end_token(config) == OTHER_END
    old = {"__type": "AddedToken", "content": "</s>", "lstrip": False, "special": True}
    assert end_token({"eos_token": old}) == "</s>"
    assert end_token({"eos_token": None}) is None
    with pytest.raises(ValueError, match="eos_token"):
        end_token({"eos_token": 2})


def test_end_token_ids_are_one_or_several() -> None:
    """A truth value is no number."""
    assert end_token_ids({"eos_token_id": 2}) == (2,)
    assert end_token_ids({"eos_token_id": [2, 32000]}) == (2, 32000)
    assert end_token_ids({}) == ()
    for value in (True, "2", [2, None]):
        with pytest.raises(ValueError, match="eos_token_id"):
            end_token_ids({"eos_token_id": value})


def test_added_tokens_are_found_in_the_head_of_a_tokenizer(tmp_path: Path) -> None:
    """Also if the vocabulary behind them is cut off; not if they are cut themselves."""
    folder = save_tokenizer(tmp_path / "a", added=("<|new|>",))
    content = (folder / "tokenizer.json").read_bytes()
    whole = added_tokens_in_head(content)
    assert {END, OTHER_END, "<|new|>"} <= whole.keys()
    behind = content.index(b'"normalizer"')
    assert added_tokens_in_head(content[:behind]) == whole
    assert added_tokens_in_head(content[: content.index(b"<|new|>") + 3]) == {}
    for other in (
        b"",
        b"version https://git-lfs",
        b'{"added_tokens": 7}',
        b'{"added_tokens": [7]}',
    ):
        assert added_tokens_in_head(other) == {}


def test_the_vocabulary_is_the_models_and_the_added_one(tmp_path: Path) -> None:
    """Of a list of pairs the place is the id, as for Unigram."""
    folder = save_tokenizer(tmp_path / "a", added=("<|new|>",))
    found = vocabulary(json.loads((folder / "tokenizer.json").read_bytes()))
    assert found["yes"] == 3
    assert found["<|new|>"] == 5
    pairs = {"model": {"type": "Unigram", "vocab": [["<unk>", 0.0], ["yes", -1.5]]}}
    assert vocabulary(pairs) == {"<unk>": 0, "yes": 1}
    assert vocabulary({}) == {}
    odd = {"vocab": [["yes", -1.5], [], [["no"], 1.0], 7]}
    assert vocabulary({"model": odd, "added_tokens": [{"content": "on", "id": True}]}) == {"yes": 0}


def test_the_tokens_of_older_configs_are_read() -> None:
    """transformers 4 lists them by id; what has another form is passed over."""
    decoder = {"5": {"content": "<|new|>", "special": True}, "x": {"content": "no"}, "6": 7}
    decoder["9" * 5000] = {"content": "far"}
    assert added_tokens({"added_tokens_decoder": decoder}) == {"<|new|>": 5}
    assert added_tokens({"added_tokens_decoder": []}) == {}
