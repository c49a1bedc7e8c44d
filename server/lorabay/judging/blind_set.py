"""A blind set as a folder: what the page shows, and apart from it, who gave the answers.

| file | what it holds | who reads it |
|---|---|---|
| `pairs.jsonl` | questions and answers, by alias | site, report |
| `sheets.json` | judges, their tokens, orders and sides | site, report |
| `names.json` | the name behind each alias | report alone |
| `votes/` | what the judges said | site, report |

`names.json` may be kept elsewhere while people judge: the site works without it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from lorabay.errors import SetupError
from lorabay.judging.pairing import Pair
from lorabay.judging.sheets import Sheet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PAIRS_FILE = "pairs.jsonl"
SHEETS_FILE = "sheets.json"
NAMES_FILE = "names.json"
VOTES_FOLDER = "votes"

_PAIR = TypeAdapter(Pair)
_SHEETS = TypeAdapter(tuple[Sheet, ...])
_NAMES = TypeAdapter(dict[str, str])

_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BlindSet:
    """Pairs by their ids, and a sheet for each judge. Holds no name of a set."""

    pairs: Mapping[str, Pair]
    sheets: tuple[Sheet, ...]


def write_blind_set(folder: Path, blind_set: BlindSet, names: Mapping[str, str]) -> None:
    """Fill an empty folder; only its owner may read the tokens and the names."""
    lines = (_written(asdict(pair)) for pair in blind_set.pairs.values())
    (folder / PAIRS_FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    secret = {SHEETS_FILE: [asdict(sheet) for sheet in blind_set.sheets], NAMES_FILE: dict(names)}
    for name, content in secret.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(f"{_written(content, indent=1)}\n", encoding="utf-8")

    (folder / VOTES_FOLDER).mkdir(mode=0o700)


def _written(content: object, indent: int | None = None) -> str:
    """Return a value as JSON, with a sign for what is half a character."""
    return _LONE.sub("\ufffd", json.dumps(content, ensure_ascii=False, indent=indent))


def read_blind_set(folder: Path) -> BlindSet:
    """Return the set of a folder without its names; raise SetupError if there is none."""
    try:
        lines = (folder / PAIRS_FILE).read_text(encoding="utf-8").split("\n")
        pairs = [_PAIR.validate_json(line) for line in lines if line]
        sheets = _SHEETS.validate_json((folder / SHEETS_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"{folder} is not a blind set: {_told(error)}") from error

    by_id = {pair.id: pair for pair in pairs}
    for sheet in sheets:
        for showing in sheet.showings:
            pair = by_id.get(showing.pair)
            if pair is None or {showing.left, showing.right} != set(pair.answers):
                raise SetupError(f"{folder} is not a blind set: {SHEETS_FILE} fits no {PAIRS_FILE}")
    return BlindSet(by_id, sheets)


def read_names(folder: Path, names_file: Path | None = None) -> dict[str, str]:
    """Return the name behind each alias; raise SetupError if the file cannot be read."""
    path = names_file or folder / NAMES_FILE
    try:
        return _NAMES.validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SetupError(f"cannot read who gave the answers: {_told(error)}") from error


def _told(error: OSError | ValueError) -> str:
    """Return an error in one line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc'])) or 'a line'}: {first['msg']}"
    return str(error)
