"""The words of the console: every reason of the program has some, in each language."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORDS = ROOT / "server" / "console" / "source" / "words" / "reasons.ts"
MEANING = re.compile(r"^  (\w+): means\(\s*\"\w+\",", re.MULTILINE)
TABLE = re.compile(r"<!-- reasons -->(.*)<!-- /reasons -->", re.DOTALL)


def test_every_reason_has_words() -> None:
    """A new one would be shown to people as its code and an English sentence alone."""
    # The tests of the documentation hold this table against the program.
    table = TABLE.search((ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8"))
    assert table is not None
    codes = set(re.findall(r"^\| `(\w+)` \|", table[1], re.MULTILINE))
    assert len(codes) > 80
    missing = codes - set(MEANING.findall(WORDS.read_text(encoding="utf-8")))
    assert missing == set(), f"give them words in {WORDS.relative_to(ROOT)}"
