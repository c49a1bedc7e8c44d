"""Parquet, by pyarrow, which has an extra of its own: it is larger than all the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.data.reading.records import Record
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.data.reading.records import Broken
    from lorabay.data.reading.text_file import TextFile

_ROWS_AT_ONCE = 256


def read(file: TextFile) -> Iterator[Record | Broken]:
    """Yield the rows; raises SetupError without pyarrow, or if the file is not Parquet."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise SetupError(
            f"{file.path}: reading Parquet needs pyarrow: pip install 'lorabay[parquet]', or in a "
            "clone `make setup EXTRAS='forge parquet'`"
        ) from None

    number = 0
    try:
        with ParquetFile(file.path) as table:
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
                for fields in batch.to_pylist():
                    number += 1
                    yield Record(number, fields)
    except (ArrowException, OSError) as error:
        raise SetupError(f"cannot read {file.path} as Parquet after row {number}") from error
