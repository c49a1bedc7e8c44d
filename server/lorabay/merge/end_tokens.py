"""The tokens that end a turn, where an adapter has others than its base.

An adapter that was trained with another end token answers without end on a base that does not know
it. The token is written in the adapter's generation config, or is the `eos_token` of its tokenizer.
This module reads and returns values; it does not know where the merged model will lie.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, TypeGuard

from lorabay.base.files import CONFIG
from lorabay.files.adapter_folder import Unreadable, read_small
from lorabay.files.model_folder import SMALL_FILES
from lorabay.files.tokenizer_fields import token_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

GENERATION_CONFIG = "generation_config.json"
END_FIELD = "eos_token_id"
"""Field of a generation config, and of a model's config: the id of an end token, or several."""

_TOKENIZER_CONFIG = "tokenizer_config.json"
_TOKENIZER = "tokenizer.json"

_VOCABULARY = range(1 << 31)
"""The ids that a token may have."""


def adapter_end_tokens(base: Path, adapter: Path) -> tuple[int, ...]:
    """Return the ids that end a turn of the adapter and not of the base; empty if there are none.

    `base` and `adapter` are folders. The adapter's generation config counts before its tokenizer,
    unless it only repeats the base's. An `eos_token` counts where it is another text than the
    base's, and no end of the base already.
    """
    known = _ids(_object(base / GENERATION_CONFIG)) or _ids(_object(base / CONFIG))
    stated = _ids(_object(adapter / GENERATION_CONFIG))
    if stated and stated != known:
        return stated

    token = _end_of_turn(adapter)
    if token is None or token == _end_of_turn(base):
        return ()
    number = _id_of(token, (adapter, base))
    return () if number is None or number in known else (number,)


def with_end_tokens(generation: Path, ends: Sequence[int]) -> str:
    """Return the text of the generation config in a file, with `ends` as its end tokens."""
    config = {**_object(generation), END_FIELD: as_field(ends)}
    return json.dumps(config, indent=2) + "\n"


def as_field(ends: Sequence[int]) -> int | list[int]:
    """Return end tokens as configs write them: a number, or a list of several."""
    return ends[0] if len(ends) == 1 else list(ends)


def _end_of_turn(folder: Path) -> str | None:
    """Return the text of a tokenizer's `eos_token`, which may be written with its properties."""
    token = _object(folder / _TOKENIZER_CONFIG).get("eos_token")
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _id_of(token: str, folders: Sequence[Path]) -> int | None:
    """Return the id of a token in the first of the tokenizers that has it."""
    for folder in folders:
        for tokens in (_added_tokens(folder), _vocabulary(folder)):
            number = tokens.get(token)
            if _is_id(number):
                return number
    return None


def _is_id(value: object) -> TypeGuard[int]:
    return type(value) is int and value in _VOCABULARY


def _added_tokens(folder: Path) -> dict[str, int]:
    """Return text -> id of the tokens that were added to a vocabulary, special ones among them."""
    tokens: dict[str, int] = {}
    decoder = _object(folder / _TOKENIZER_CONFIG).get("added_tokens_decoder")
    if isinstance(decoder, dict):
        for text, entry in decoder.items():
            number = token_id(text)
            if number is not None and isinstance(entry, dict):
                tokens[str(entry.get("content"))] = number

    added = _object(folder / _TOKENIZER).get("added_tokens")
    for entry in added if isinstance(added, list) else ():
        if isinstance(entry, dict) and type(entry.get("id")) is int:
            tokens[str(entry.get("content"))] = entry["id"]
    return tokens


def _vocabulary(folder: Path) -> Mapping[str, object]:
    """Return text -> id of a tokenizer whose file writes its vocabulary as a table."""
    model = _object(folder / _TOKENIZER).get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    return vocabulary if isinstance(vocabulary, dict) else {}


def _ids(config: Mapping[str, object]) -> tuple[int, ...]:
    """Return the end tokens that a config names."""
    ends = config.get(END_FIELD)
    listed = ends if isinstance(ends, list) else [ends]
    return tuple(end for end in listed if _is_id(end))


def _object(path: Path) -> dict[str, object]:
    """Return the JSON object in a file; an empty one if there is none that may be read."""
    with suppress(Unreadable, ValueError, RecursionError):
        content = json.loads(read_small(path, SMALL_FILES[path.name]))
        if isinstance(content, dict):
            return content
    return {}
