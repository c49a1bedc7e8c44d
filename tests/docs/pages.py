"""The pages that a reader may open: README.md, what lies under docs/, and the notes for
contributors. Knows nothing of the program.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
TOP = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    page: str
    language: str
    text: str

    @property
    def first_line(self) -> str:
        """The line by which a table of blocks names this one."""
        return self.text.splitlines()[0].strip()


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown file. `name` is its path from the top of the repository."""

    name: str
    text: str

    def blocks(self, *languages: str) -> Iterator[Block]:
        """Yield the fenced blocks in these languages, in their order; all blocks for none."""
        for language, text in _FENCE.findall(self.text):
            if not languages or language in languages:
                yield Block(self.name, language, text)

    def section(self, title: str) -> str:
        """Return the text below a heading, up to the next of its level or a higher one."""
        heading = re.search(rf"^(#+) {re.escape(title)}$", self.text, re.MULTILINE)
        assert heading, f"{self.name} has no section {title!r}"

        below = self.text[heading.end() :]
        depth = len(heading[1])
        return re.split(rf"^#{{1,{depth}}} ", below, maxsplit=1, flags=re.MULTILINE)[0]

    @property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """The names that GitHub gives to the headings."""
        titles = re.findall(r"^#+ (.*)", self.prose, re.MULTILINE)
        plain = (re.sub(r"[^\w -]", "", title).strip().lower() for title in titles)
        return {title.replace(" ", "-") for title in plain}


def page(name: str) -> Page:
    """Return one page by its path from the top of the repository."""
    return Page(name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Return all pages."""
    below = (str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))
    return [page(name) for name in (*TOP, *sorted(below))]


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a text, without code marks."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]
