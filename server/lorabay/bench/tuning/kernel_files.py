"""vLLM's files of tuned LoRA kernels: one a device and operation, as vLLM 0.32 reads them.

A file is JSON, nested by groups of rows, slices, rows, k and n; below lies the configuration. vLLM
takes the nearest of each number but of slices, of which it needs exactly the layer's own, or it
ends: so a file has all that layers have. A file that is there is completed, not replaced.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorabay.errors import SetupError
from lorabay.files.durable import write

if TYPE_CHECKING:
    from lorabay.bench.tuning.search import Tuned
    from lorabay.bench.tuning.shapes import Operation

SLICES = range(1, 9)
"""Slices that a layer of vLLM may have."""

_SUFFIXES: dict[Operation, str] = {"shrink": "SHRINK", "expand": "EXPAND_TRUE"}
"""`TRUE` is for the launch that adds to the base's outputs, which is the usual one."""


def write_files(folder: Path, device: str, found: Iterable[Tuned]) -> tuple[Path, ...]:
    """Write what was found into a folder, and return the files.

    Raises SetupError if a file that is there is none of vLLM's, or cannot be written.
    """
    by_operation: dict[Operation, list[Tuned]] = {}
    for tuned in found:
        by_operation.setdefault(tuned.product.operation, []).append(tuned)

    files: list[Path] = []
    for operation, results in sorted(by_operation.items()):
        path = folder / f"{file_name(device)}_{_SUFFIXES[operation]}.json"
        table = _read(path)
        for tuned in results:
            _put(table, tuned)
        _fill_slices(table)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(path, json.dumps(table, indent=1))
        except OSError as error:
            raise SetupError(f"{path} cannot be written: {error.strerror}") from error
        files.append(path)
    return tuple(files)


def file_name(device: str) -> str:
    """Return a device's name as vLLM writes it in names of files."""
    return device.replace(" ", "_").replace("-", "_")


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} is no file of tuned kernels: {error}") from error
    if not isinstance(table, dict):
        raise SetupError(f"{path} is no file of tuned kernels")
    return table


def _put(table: dict[str, Any], tuned: Tuned) -> None:
    product = tuned.product
    place = table
    for number in (product.groups, product.slices, product.rows, product.k):
        place = place.setdefault(str(number), {})
    place[str(product.n)] = dict(tuned.configuration)


def _fill_slices(table: dict[str, Any]) -> None:
    """Give layers of other numbers of slices the configurations of the nearest."""
    for by_slices in table.values():
        measured = sorted(map(int, by_slices))
        for slices in SLICES:
            nearest = min(measured, key=lambda number: abs(number - slices))
            by_slices.setdefault(str(slices), by_slices[str(nearest)])
