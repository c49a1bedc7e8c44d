"""The base's own tokenizer as files: its chat template, its end tokens, and its vocabulary.

What an adapter brings is held against them: a template that is the base's is none of its own, and
an end token has to be one that the base can write. Nothing is tokenised here, and the files are
read when they are first asked for: the vocabulary of a large model takes some tenths of a second.
A base without such files has no template and no tokens.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lorabay.files import tokenizer_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class BaseTokenizer:
    """The tokenizer in a base folder; None for a base of which nothing is known."""

    folder: Path | None = None

    @cached_property
    def chat_template(self) -> str | None:
        """The template that a chat without an adapter is rendered with."""
        with suppress(OSError, ValueError):
            return self._bytes("chat_template.jinja").decode()
        for name in ("chat_template.json", "tokenizer_config.json"):
            with suppress(ValueError):
                template = tokenizer_fields.chat_template(self._object(name))
                if template is not None:
                    return template
        return None

    @cached_property
    def end_tokens(self) -> frozenset[str]:
        """The texts of the tokens that end an answer: the tokenizer's, and the generation config's.

        A number in the generation config costs a look into the vocabulary only if it is no added
        token.
        """
        found: set[str] = set()
        with suppress(ValueError):
            found.update(filter(None, [tokenizer_fields.end_token(self._tokenizer_config)]))
        with suppress(ValueError):
            ids = tokenizer_fields.end_token_ids(self._object("generation_config.json"))
            found.update(filter(None, map(self.text_of, ids)))
        return frozenset(found)

    @cached_property
    def added(self) -> Mapping[str, int]:
        """The tokens that were added to the vocabulary, such as those of chats, with their ids."""
        tokens = tokenizer_fields.added_tokens(self._tokenizer_config)
        for text, number in self._object("added_tokens.json").items():
            if isinstance(number, int):
                tokens[text] = number
        with suppress(OSError):
            tokens |= tokenizer_fields.added_tokens_in_head(self._bytes("tokenizer.json"))
        return tokens

    @cached_property
    def tokens(self) -> Mapping[str, int]:
        """Every token that the files name, with its id."""
        return {**tokenizer_fields.vocabulary(self._object("tokenizer.json")), **self.added}

    def has(self, text: str) -> bool:
        """Return whether the base's vocabulary has a token of this text."""
        return text in self.added or text in self.tokens

    def text_of(self, number: int) -> str | None:
        """Return the text of the token with this id; None if the files name none."""
        for tokens in (self.added, self.tokens):
            for text, other in tokens.items():
                if other == number:
                    return text
        return None

    @cached_property
    def identity(self) -> str:
        """Changes with the files that an adapter's template and end tokens are held against."""
        names = (
            "chat_template.jinja",
            "chat_template.json",
            "tokenizer_config.json",
            "generation_config.json",
        )
        digest = hashlib.sha256()
        for name in names:
            content = b""
            with suppress(OSError):
                content = self._bytes(name)
            digest.update(f"{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    @cached_property
    def _tokenizer_config(self) -> Mapping[str, Any]:
        return self._object("tokenizer_config.json")

    def _object(self, name: str) -> Mapping[str, Any]:
        """Return the JSON object in a file; an empty one if there is none."""
        with suppress(OSError, ValueError, RecursionError):
            content = json.loads(self._bytes(name))
            if isinstance(content, dict):
                return content
        return {}

    def _bytes(self, name: str) -> bytes:
        """Return a file's content; raises FileNotFoundError if there is no folder."""
        if self.folder is None:
            raise FileNotFoundError(name)
        return (self.folder / name).read_bytes()
