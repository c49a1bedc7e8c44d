"""`lorabay data deidentify` as a whole: each file is read, and written without personal data.

Owns the output folder, which is there as a whole or not at all: a file of JSON lines in the
instruction format for each input, and in `report/` the list of changes and the figures. Holds one
row at a time.
"""

from __future__ import annotations

import json
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from lorabay.data.changes import Changes
from lorabay.data.collecting import FileFacts
from lorabay.data.deidentify.report import DeidentifyReport
from lorabay.data.deidentify.wishes import DeidentifyWishes, deidentifier
from lorabay.data.inputs import InputWishes, input_files, open_input
from lorabay.data.reading.text_file import TextFile
from lorabay.data.reasons import Kept
from lorabay.errors import SetupError
from lorabay.files import durable
from lorabay.progress import progress_bar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TextIO

    from lorabay.data.deidentify.deidentifier import Deidentifier
    from lorabay.data.inputs import InputFile, Row

_ROWS_A_STEP = 64
_REPORT, _CHANGES = "report", "changes.jsonl"


@dataclass(frozen=True, slots=True)
class FileWishes:
    """All that a user can choose."""

    inputs: InputWishes = field(default_factory=InputWishes)
    deidentify: DeidentifyWishes = field(default_factory=DeidentifyWishes)


def deidentify(inputs: Sequence[Path], output: Path, wishes: FileWishes) -> DeidentifyReport:
    """Write the rows of all inputs without personal data into the new folder `output`.

    Raises SetupError or UsageError for what does not allow it, and if the second search finds
    something; leaves nothing then.
    """
    step = deidentifier(wishes.deidentify)
    files = input_files(inputs)
    targets = _targets(files)
    with durable.new_folder(output, inputs) as made:
        (made / _REPORT).mkdir()
        with Changes(made / _REPORT / _CHANGES) as changes:
            facts = _through(files, wishes, _Writer(step, changes, made, targets))
        step.counts.check()
        report = _report(facts, step, changes)
        text = json.dumps(report.as_dict(), indent=2, ensure_ascii=False)
        durable.write_all(made / _REPORT, {"report.json": f"{text}\n"})
    return report


def count(inputs: Sequence[Path], wishes: FileWishes) -> DeidentifyReport:
    """Return what would be found, and write nothing."""
    step = deidentifier(wishes.deidentify)
    files = input_files(inputs)
    with tempfile.TemporaryDirectory() as folder, Changes(Path(folder) / "changes") as changes:
        facts = _through(files, wishes, _Writer(step, changes))
    return _report(facts, step, changes)


def _report(facts: tuple[FileFacts, ...], step: Deidentifier, changes: Changes) -> DeidentifyReport:
    if not any(one.rows for one in facts):
        raise SetupError("the input holds no rows")
    return DeidentifyReport(facts, step.counts.rows, step.counts.by_kind(), dict(changes.counts))


def _through(
    files: Sequence[InputFile], wishes: FileWishes, writer: _Writer
) -> tuple[FileFacts, ...]:
    total = sum(file.path.stat().st_size for file in files)
    with progress_bar(total, "reading") as advance:
        return tuple(
            writer.take(file, wishes.inputs, lambda size: advance("reading", size))
            for file in files
        )


def _targets(files: Sequence[InputFile]) -> dict[InputFile, str]:
    """Return the name of what is written for each file; raises SetupError if two are the same."""
    sources: dict[str, InputFile] = {}
    for file in files:
        name = file.name if file.name.endswith(".jsonl") else f"{file.name}.jsonl"
        if name == f"{_REPORT}/{_CHANGES}":
            raise SetupError(f"{file.path} would become {name}, which is the list of changes")
        if name in sources:
            raise SetupError(f"{sources[name].path} and {file.path} would both become {name}")
        sources[name] = file
    return {file: name for name, file in sources.items()}


class _Writer:
    """The way of a file's rows through the step; without a folder nothing is written."""

    def __init__(
        self,
        step: Deidentifier,
        changes: Changes,
        folder: Path | None = None,
        targets: Mapping[InputFile, str] = MappingProxyType({}),
    ) -> None:
        self._step = step
        self._changes = changes
        self._folder = folder
        self._targets = targets

    def take(
        self, input_file: InputFile, wishes: InputWishes, advance: Callable[[int], object]
    ) -> FileFacts:
        """Take all rows of a file; `advance` is told the bytes as they are read."""
        rows = kept = reported = 0
        with ExitStack() as stack:
            file = stack.enter_context(TextFile(input_file.path, wishes.max_line_chars))
            target = self._target(input_file, stack)
            opened = open_input(file, wishes)
            for row in opened.rows:
                rows += 1
                line = self._line(row, f"{input_file.name}:{row.number}")
                kept += line is not None
                if line is not None and target is not None:
                    target.write(f"{line}\n")
                if rows % _ROWS_A_STEP == 0:
                    advance(file.bytes_read - reported)
                    reported = file.bytes_read
            advance(file.bytes_read - reported)
        return FileFacts(input_file.name, opened.file_type, opened.layout, rows, kept)

    def _target(self, input_file: InputFile, stack: ExitStack) -> TextIO | None:
        if self._folder is None:
            return None
        path = self._folder / self._targets[input_file]
        path.parent.mkdir(parents=True, exist_ok=True)
        return stack.enter_context(
            path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n")
        )

    def _line(self, row: Row, source: str) -> str | None:
        """Return what is written for a row; list what becomes of it."""
        outcome = row.outcome
        if isinstance(outcome, Kept):
            notes = outcome.notes
            outcome = self._step.apply(outcome.example)
            if isinstance(outcome, Kept):
                self._changes.add(source, (*notes, *outcome.notes))
                return outcome.example.as_line()
        self._changes.add(source, (outcome.note,))
        return None
