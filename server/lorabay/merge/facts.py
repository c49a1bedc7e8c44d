"""The sums over a file's tensors, kept beside it so that a run that goes on need not read the file
again.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING

from lorabay.files import durable
from lorabay.merge.blocks import Tally

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_facts(folder: Path, file: str, tallies: Mapping[str, Tally]) -> None:
    """Write them next to `file`."""
    path = _path(folder, file)
    sums = {name: asdict(tally) for name, tally in tallies.items()}
    durable.write(path, json.dumps(sums), lasting=False)


def read_facts(folder: Path, file: str) -> dict[str, Tally] | None:
    """None where there are none."""
    with suppress(OSError, ValueError, TypeError):
        return {
            name: Tally(**fields)
            for name, fields in json.loads(_path(folder, file).read_bytes()).items()
        }
    return None


def _path(folder: Path, file: str) -> Path:
    return folder / f"{file}.facts"
