"""What a model folder holds besides weights and config: tokenizer, chat template, generation
config, licence, code.

They come from the base; a tokenizer or a chat template that the adapter brings wins. Never a
mixture of two tokenizers.
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
_TOKENIZER = (
    *_VOCABULARIES, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "merges.txt",
    "*.tiktoken", "spiece.model", "sentencepiece.bpe.model", "tokenization_*.py",
)  # fmt: skip
_TEMPLATE = ("chat_template.jinja", "chat_template.json")
_OTHERS = (
    "generation_config.json", "preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json",
    "*.py", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*",
)  # fmt: skip
_TOKENIZER_CONFIG = "tokenizer_config.json"


def side_files(base: Path, adapter: Path) -> dict[str, Path]:
    """Name in the merged folder -> the file to copy. Raises SetupError for a folder that cannot be
    listed.
    """
    of_base, of_adapter = _files(base), _files(adapter)
    found = {
        name: path
        for name, path in of_base.items()
        if _is(name, (*_TOKENIZER, *_TEMPLATE, *_OTHERS))
    }
    own = {name: path for name, path in of_adapter.items() if _is(name, _TOKENIZER)}
    template = {name: path for name, path in of_adapter.items() if _is(name, _TEMPLATE)}
    if any(name in own for name in _VOCABULARIES):
        found = {name: path for name, path in found.items() if not _is(name, _TOKENIZER)}
    if template or _has_template(own.get(_TOKENIZER_CONFIG)):
        found = {name: path for name, path in found.items() if not _is(name, _TEMPLATE)}
    return dict(sorted((found | own | template).items()))


def copy_side_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy them into `folder`. Raises OSError when that fails on the writing side, SetupError on
    the reading side.
    """
    for name, path in files.items():
        shutil.copyfile(path, folder / name)


def _files(folder: Path) -> dict[str, Path]:
    try:
        return {
            path.name: path
            for path in folder.iterdir()
            if not path.name.startswith(".") and path.is_file()
        }
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be read: {error.strerror}") from error


def _is(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _has_template(path: Path | None) -> bool:
    if path is not None:
        with suppress(OSError, ValueError, AttributeError):
            return bool(json.loads(path.read_bytes()).get("chat_template"))
    return False
