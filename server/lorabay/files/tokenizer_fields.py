"""Fields of the files that transformers saves with a tokenizer: template, end tokens, added tokens.

The forms are those of `PreTrainedTokenizerBase.save_pretrained` and `GenerationConfig` of
transformers 4 and 5, and of `tokenizer.json` of the tokenizers library. Works on parsed JSON, and
on the bytes of a `tokenizer.json`. What has another form raises ValueError. Knows nothing of
folders.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDED_TOKENS = b'"added_tokens":'

_ID_DIGITS = 18
"""Digits of a token's id at most. Python refuses to read a number of thousands of digits."""


def chat_template(config: Mapping[str, Any]) -> str | None:
    """Return the template in a tokenizer's config: the only one, or the one called `default`."""
    value = config.get("chat_template")
    if value is None or isinstance(value, str):
        return value or None
    return _named_templates(value).get("default")


def other_templates(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of further templates in a tokenizer's config, such as `tool_use`."""
    value = config.get("chat_template")
    if value is None or isinstance(value, str):
        return ()
    return tuple(name for name in _named_templates(value) if name != "default")


def _named_templates(value: object) -> dict[str, str]:
    """Return the templates of a list by name; a single one need not be in a list."""
    entries = value if isinstance(value, list) else [value]
    templates: dict[str, str] = {}
    for entry in entries:
        name, template = _field(entry, "name"), _field(entry, "template")
        if not isinstance(name, str) or not isinstance(template, str):
            raise ValueError("chat_template is neither a text nor a list of named templates")
        templates[name] = template
    return templates


def end_token(config: Mapping[str, Any]) -> str | None:
    """Return the text of `eos_token` in a tokenizer's config, which may be saved as an object."""
    value = config.get("eos_token")
    if isinstance(value, dict):
        value = value.get("content")
    if value is not None and not isinstance(value, str):
        raise ValueError("eos_token is neither a text nor a token")
    return value or None


def end_token_ids(config: Mapping[str, Any]) -> tuple[int, ...]:
    """Return `eos_token_id` of a generation config: one number, or a list of them."""
    value = config.get("eos_token_id")
    if value is None:
        return ()
    ids = value if isinstance(value, list) else [value]
    for number in ids:
        if not isinstance(number, int) or isinstance(number, bool):
            raise ValueError("eos_token_id is neither a number nor a list of numbers")
    return tuple(ids)


def added_tokens(config: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens in `added_tokens_decoder` of a tokenizer's config, with their ids.

    transformers 5 no longer writes it where there is a `tokenizer.json`.
    """
    decoder = config.get("added_tokens_decoder")
    if not isinstance(decoder, dict):
        return {}

    ids: dict[str, int] = {}
    for text, token in decoder.items():
        content, number = _field(token, "content"), token_id(text)
        if isinstance(content, str) and number is not None:
            ids[content] = number
    return ids


def token_id(text: str) -> int | None:
    """Return the id that a text is, as the keys of JSON are texts; None if it is none."""
    return int(text) if text.isdecimal() and len(text) <= _ID_DIGITS else None


def added_tokens_in_head(head: bytes) -> dict[str, int]:
    """Return the added tokens of a `tokenizer.json`, of which `head` is the begin.

    They come before the vocabulary, which need not be there. Empty if they are not whole, or if the
    file is none of the tokenizers library's.
    """
    start = head.find(_ADDED_TOKENS)
    if start < 0:
        return {}
    # A character may be cut at the end of the head.
    text = head[start + len(_ADDED_TOKENS) :].decode("utf-8", errors="ignore").lstrip()
    try:
        tokens, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(tokens, list):
        return {}
    return _numbered(tokens)


def vocabulary(tokenizer: Mapping[str, Any]) -> dict[str, int]:
    """Return every token of a whole `tokenizer.json` with its id: the model's and the added ones.

    BPE and WordPiece keep a mapping, Unigram a list of pairs.
    """
    ids = _vocabulary_of(tokenizer.get("model"))
    added = tokenizer.get("added_tokens")
    if isinstance(added, list):
        ids |= _numbered(added)
    return ids


def _vocabulary_of(model: object) -> dict[str, int]:
    tokens = _field(model, "vocab")
    if isinstance(tokens, dict):
        return {text: number for text, number in tokens.items() if type(number) is int}
    pairs = enumerate(tokens) if isinstance(tokens, list) else ()
    return {pair[0]: number for number, pair in pairs if _is_pair(pair)}


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)


def _numbered(tokens: list[Any]) -> dict[str, int]:
    """Return the ids of tokens that are saved as objects with an id each."""
    ids: dict[str, int] = {}
    for token in tokens:
        content, number = _field(token, "content"), _field(token, "id")
        if isinstance(content, str) and type(number) is int:
            ids[content] = number
    return ids


def _field(value: object, name: str) -> Any:
    """Return a field of an object; None if it is absent, or `value` is not an object."""
    return value.get(name) if isinstance(value, dict) else None
