"""Files of a model folder besides weights and config: tokenizer, templates, licence, code.

They come from the base, but the adapter's own tokenizer, chat templates and generation config win.
The result is never a mixture of two tokenizers, nor of two sets of templates. A name may lie in a
folder of its own, as `additional_chat_templates/rag.jinja` does.
"""

from __future__ import annotations

import fnmatch
import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Unreadable, read_small
from lorabay.files.model_folder import SMALL_FILES
from lorabay.merge.end_tokens import GENERATION_CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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

_TEMPLATES_FOLDER = "additional_chat_templates"
_NAMED_TEMPLATES = (f"{_TEMPLATES_FOLDER}/*.jinja",)
"""Templates beside the usual one, which a client asks for by name."""

_GENERATION = (GENERATION_CONFIG,)
_OTHERS = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "*.py",
    "LICENSE*",
    "LICENCE*",
    "NOTICE*",
    "USE_POLICY*",
)


def side_files(base: Path, adapter: Path, more: tuple[str, ...] = ()) -> dict[str, Path]:
    """Return name in the merged folder -> file to copy, in order of name.

    `more` are names of further files of the base. Raise SetupError if one of the folders cannot be
    listed.
    """
    wanted = (*_TOKENIZER, *_TEMPLATE, *_NAMED_TEMPLATES, *_GENERATION, *_OTHERS, *more)
    from_base = _matching(_files(base), wanted)

    own = _files(adapter)
    tokenizer = _matching(own, _TOKENIZER)
    template = _matching(own, _TEMPLATE)
    named_templates = _matching(own, _NAMED_TEMPLATES)
    generation = _matching(own, _GENERATION)

    # Files of two tokenizers would load without an error and mean other tokens.
    if any(name in tokenizer for name in _VOCABULARIES):
        from_base = _without(from_base, _TOKENIZER)

    # Without a usual template of its own, an adapter keeps the base's beside its named ones.
    has_template = bool(template) or _has_template(tokenizer.get(_TOKENIZER_CONFIG))
    if has_template:
        from_base = _without(from_base, _TEMPLATE)
    if has_template or named_templates:
        from_base = _without(from_base, _NAMED_TEMPLATES)

    files = {**from_base, **tokenizer, **template, **named_templates, **generation}
    return dict(sorted(files.items()))


def names_from(folder: Path, files: Mapping[str, Path]) -> tuple[str, ...]:
    """Return the names of those side files that lie in `folder`."""
    return tuple(name for name, path in files.items() if path == folder / name)


def copy_side_files(files: Mapping[str, Path], folder: Path) -> None:
    """Copy `files` into `folder`. Raise OSError."""
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)


def _files(folder: Path) -> dict[str, Path]:
    """Return the visible files of `folder` by name, and those of its folder of templates."""
    try:
        files = _visible(folder.iterdir())
        templates = folder / _TEMPLATES_FOLDER
        if templates.is_dir():
            files += _visible(templates.iterdir())
    except OSError as error:
        raise SetupError(f"the folder {folder} cannot be read: {error.strerror}") from error
    return {path.relative_to(folder).as_posix(): path for path in files}


def _visible(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]


def _matching(files: Mapping[str, Path], patterns: tuple[str, ...]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if _matches(name, patterns)}


def _without(files: Mapping[str, Path], patterns: tuple[str, ...]) -> dict[str, Path]:
    return {name: path for name, path in files.items() if not _matches(name, patterns)}


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _has_template(path: Path | None) -> bool:
    """Return whether a tokenizer's config holds a chat template; older tokenizers keep it there."""
    if path is not None:
        with suppress(Unreadable, ValueError, AttributeError, RecursionError):
            content = read_small(path, SMALL_FILES[_TOKENIZER_CONFIG])
            return bool(json.loads(content).get("chat_template"))
    return False
