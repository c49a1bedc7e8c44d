"""Files of a model folder besides weights and config: tokenizer, template, licence, code.

They come from the base, but a tokenizer or a chat template of the adapter wins. The result is
never a mixture of two tokenizers.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_VOCABULARIES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tiktoken.model",
    "tekken.json",
)
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TOKENIZER = (
    *_VOCABULARIES,
    _TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
    "*.tiktoken",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenization_*.py",
)
_TEMPLATE = ("chat_template.jinja", "chat_template.json")
_OTHERS = (
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "*.py",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
)


def side_files(base: Path, adapter: Path) -> dict[str, Path]:
    """Return name in the merged folder -> file to copy, in order of name.

    Raise SetupError if one of the folders cannot be listed.
    """
    from_base = _matching(_files(base), (*_TOKENIZER, *_TEMPLATE, *_OTHERS))
    from_adapter = _files(adapter)
    tokenizer = _matching(from_adapter, _TOKENIZER)
    template = _matching(from_adapter, _TEMPLATE)

    # Files of two tokenizers would load without an error and mean other tokens.
    if any(name in tokenizer for name in _VOCABULARIES):
        from_base = _without(from_base, _TOKENIZER)
    if template or _has_template(tokenizer.get(_TOKENIZER_CONFIG)):
        from_base = _without(from_base, _TEMPLATE)
    return dict(sorted({**from_base, **tokenizer, **template}.items()))


def copy_side_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy `files` into `folder`. Raise OSError."""
    for name, path in files.items():
        shutil.copyfile(path, folder / name)


def _files(folder: Path) -> dict[str, Path]:
    """Return the visible files of `folder` by name."""
    try:
        visible = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return {path.name: path for path in visible if path.is_file()}
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be read: {error.strerror}") from error


def _matching(files: Mapping[str, Path], patterns: tuple[str, ...]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if _matches(name, patterns)}


def _without(files: Mapping[str, Path], patterns: tuple[str, ...]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if not _matches(name, patterns)}


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _has_template(path: Path | None) -> bool:
    """Return whether a tokenizer's config holds a chat template; older tokenizers keep it there."""
    if path is not None:
        with suppress(OSError, ValueError, AttributeError):
            return bool(json.loads(path.read_bytes()).get("chat_template"))
    return False
