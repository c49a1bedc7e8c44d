"""An adapter's weights that were split over several files, as one file while a block lasts.

transformers splits an adapter over a size as it does a model (`adapter_model-00001-of-00002`), and
PEFT reads one file. The parts are copied as they are into a temporary folder; the folder itself
stays as it is. Knows nothing of what the tensors mean.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE, Unreadable, open_source
from lorabay.files.safetensors_header import header_bytes, read_header
from lorabay.formats.trainers.foreign_files import PART
from lorabay.reasons import Rejected, quoted
from lorabay.tools.find_adapter import LIMITS
from lorabay.tools.pickles import copy_config, temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from lorabay.files.safetensors_header import TensorInfo

_CHUNK = 1 << 20


@contextmanager
def with_joined_weights(folder: Path) -> Iterator[Path]:
    """Yield a folder whose weights are one file: the same, or a temporary one.

    Raise SetupError if a part is missing or cannot be used.
    """
    parts = _parts(folder)
    if not parts:
        yield folder
        return

    with ExitStack() as stack:
        try:
            made = temporary_folder(folder, stack)
            copy_config(folder, made)
            _join(parts, made / WEIGHTS_FILE)
        except Unreadable as problem:
            raise SetupError(f"{folder} cannot be used: {problem.reason}") from problem
        except OSError as error:
            place = error.filename or folder
            raise SetupError(f"{place} cannot be used: {error.strerror}") from error
        yield made


def _parts(folder: Path) -> list[Path]:
    """Return the parts in their order; none if the weights are whole, or are not here."""
    if not folder.is_dir() or (folder / WEIGHTS_FILE).exists():
        return []

    numbers: dict[int, Path] = {}
    counts: set[int] = set()
    has_two = False
    for path in folder.iterdir():
        match = PART.fullmatch(path.name)
        if match is not None:
            number = int(match["number"])
            has_two = has_two or number in numbers
            numbers[number] = path
            counts.add(int(match["count"]))
    if not numbers:
        return []

    # Parts of two savings in one folder do not belong together.
    count = max(counts)
    missing = next((number for number in range(1, count + 1) if number not in numbers), None)
    if missing or has_two or len(counts) > 1 or len(numbers) > count:
        what = f"part {missing} is missing" if missing else "they are of several savings"
        raise SetupError(
            f"the weights in {folder} are split into {count} parts, and {what}; copy the adapter "
            "again, whole"
        )
    return [numbers[number] for number in sorted(numbers)]


def _join(parts: list[Path], target: Path) -> None:
    tensors: list[tuple[Path, TensorInfo]] = []
    for path in parts:
        with open_source(path, LIMITS.weights_bytes) as file:
            header = read_header(file, max_bytes=LIMITS.header_bytes)
        if isinstance(header, Rejected):
            raise SetupError(f"{path} cannot be used: {header.line}")
        tensors += [(path, info) for info in header]

    counts = Counter(info.name for _, info in tensors)
    for name, count in counts.items():
        if count > 1:
            raise SetupError(f"{parts[0].parent} holds {quoted(name)} in two of its parts")

    with target.open("xb") as joined:
        joined.write(header_bytes([info for _, info in tensors]))
        for path, info in tensors:
            with open_source(path, LIMITS.weights_bytes) as file:
                file.seek(info.start)
                _copy(file, joined, info.end - info.start)


def _copy(source: BinaryIO, target: BinaryIO, count: int) -> None:
    """Copy `count` bytes, few at a time."""
    while count and (chunk := source.read(min(_CHUNK, count))):
        target.write(chunk)
        count -= len(chunk)
