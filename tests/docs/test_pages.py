"""Pages hold together: links lead somewhere, blocks parse, no page is lost, and forms are kept."""

from __future__ import annotations

import ast
import fnmatch
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import DOCS, ROOT, Block, Page, page, pages, rows

PAGES = pages()


def links(one: Page) -> list[tuple[Path, str]]:
    """Return the local links of a page, each as a path and an anchor."""
    targets = re.findall(r"\]\(([^)\s]+)\)", one.prose.replace("\n", " "))
    local = [target for target in targets if not re.match(r"https?://", target)]
    folder = (ROOT / one.name).parent

    parts = [target.partition("#") for target in local]
    return [
        ((folder / path).resolve() if path else ROOT / one.name, anchor)
        for path, _, anchor in parts
    ]


def test_links_lead_somewhere() -> None:
    """Links to files and to headings of any page resolve."""
    known = {(ROOT / one.name).resolve(): one.anchors for one in PAGES}
    all_links = [(one.name, *link) for one in PAGES for link in links(one)]
    assert len(all_links) >= 90
    assert sum(bool(anchor) for _, _, anchor in all_links) >= 7

    for name, path, anchor in all_links:
        assert path.exists(), (name, str(path))
        assert not anchor or anchor in known[path], (name, str(path), anchor)


def test_every_page_can_be_reached() -> None:
    """Who starts at README.md and follows links gets to every page."""
    by_path = {(ROOT / one.name).resolve(): one for one in PAGES}
    reached: set[Path] = set()
    next_ones = [ROOT / "README.md"]
    while next_ones:
        path = next_ones.pop()
        if path in by_path and path not in reached:
            reached.add(path)
            next_ones += [target for target, _ in links(by_path[path])]

    assert len(by_path) >= 30
    assert {str(path.relative_to(ROOT)) for path in by_path.keys() - reached} == set()


def test_the_readme_fits_on_a_screen_or_two() -> None:
    """A newcomer reads it to the end: at most 200 lines."""
    assert len(page("README.md").text.splitlines()) <= 200


def test_tables_have_equal_rows() -> None:
    """Every row of a table has as many cells as its head."""
    count = 0
    for one in PAGES:
        for table in re.findall(r"(?:^\|.*\|$\n)+", one.prose + "\n", re.MULTILINE):
            widths = {len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, (one.name, table)
            count += 1
    assert count >= 40


def test_examples_are_well_formed() -> None:
    """Shell, Python, JSON, YAML and TOML blocks parse."""
    counts = dict.fromkeys(("sh", "python", "json", "yaml", "toml"), 0)
    for one in PAGES:
        for block in one.blocks(*counts):
            counts[block.language] += 1
            if not shows_a_part(block):
                check_syntax(block.language, block.text)

    assert counts["sh"] >= 40
    assert min(counts.values()) >= 1


def shows_a_part(block: Block) -> bool:
    """Return whether a block shows some lines of a module: recipes do, nobody types them."""
    return block.language == "python" and block.page.startswith("docs/contributing/")


def check_syntax(language: str, text: str) -> None:
    """Parse a block as what it says it is."""
    match language:
        case "sh":
            run = subprocess.run(
                ["/bin/bash", "-n"], input=text, text=True, capture_output=True, check=False
            )
            assert run.returncode == 0, run.stderr
        case "python":
            ast.parse(text)
        case "toml":
            tomllib.loads(text)
        case "json":
            json.loads(text)
        case _:
            yaml.safe_load(text)


def test_bodies_in_shell_examples_are_json() -> None:
    """What an example sends with curl is what a server can read."""
    text = "\n".join(block.text for one in PAGES for block in one.blocks("sh"))
    plain = re.findall(r"-d '(.*?)'", text, re.DOTALL)
    escaped = [
        body.replace('\\"', '"') for body in re.findall(r'-d "(\{.*?\n.*?\})"', text, re.DOTALL)
    ]
    assert plain
    assert escaped
    assert all("model" in json.loads(body) for body in [*plain, *escaped])


def tree() -> dict[Path, str]:
    """Return the drawing of the files at the top: path to comment."""
    (block,) = page("docs/explanation/architecture.md").blocks("text")
    entries: dict[Path, str] = {}
    folders: list[Path] = []
    for line in block.text.splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, comment = line.strip().partition("  ")
        path = Path(*folders[depth - 1 : depth], name)
        folders[depth:] = [path]
        entries[path] = comment.strip()
    return entries


def ignored(name: str) -> bool:
    """Return whether git leaves a top-level entry out."""
    patterns = (ROOT / ".gitignore").read_text().split()
    return name == ".git" or any(fnmatch.fnmatch(name, pattern.strip("/")) for pattern in patterns)


def test_the_file_tree_is_right() -> None:
    """Every entry exists and says what it is, and nothing at the top and no adapter is missing."""
    entries = tree()
    assert len(entries) >= 20
    assert [str(path) for path in entries if not (ROOT / path).exists()] == []
    assert all(entries.values())

    top = {Path(path.parts[0]) for path in entries}
    assert {Path(entry.name) for entry in ROOT.iterdir() if not ignored(entry.name)} == top
    adapters = {path.relative_to(ROOT) for path in (ROOT / "adapters").iterdir() if path.is_dir()}
    assert adapters <= set(entries)


def test_every_room_has_a_sentence() -> None:
    """The table of rooms has every package and every module at the top of the package."""
    package = ROOT / "server" / "lorabay"
    names = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    names |= {path.parent.name for path in package.glob("*/__init__.py")}

    table = rows(page("docs/explanation/architecture.md").section("The rooms"))
    described = {name for cells in table[1:] for name in re.findall(r"\w+", cells[0])}
    assert len(names) >= 18
    assert described == names


def test_every_module_of_the_plugin_is_described() -> None:
    """The page on the CPU kernel says where each module of the plugin belongs."""
    plugin = ROOT / "server" / "lorabay" / "vllm_plugin"
    modules = [path for path in plugin.rglob("*.py") if path.stem != "__init__"]
    names = {path.relative_to(plugin).with_suffix("").as_posix() for path in modules}
    table = rows(page("docs/explanation/cpu-kernel.md").section("The modules"))
    described = {name for cells in table[1:] for name in re.findall(r"[\w/]+", cells[0])}
    assert len(names) >= 15
    assert described == names


@pytest.mark.parametrize(
    "name", [one.name for one in PAGES if re.match(r"docs/decisions/\d", one.name)]
)
def test_decisions_have_their_form(name: str) -> None:
    """A decision is one page with context, decision and consequences, and the index has it."""
    one = page(name)
    assert len(one.text.splitlines()) <= 60
    for title in ("Context", "Decision", "Consequences"):
        assert one.section(title).strip()
    assert f"({Path(name).name})" in page("docs/decisions/README.md").text


RECIPES = sorted(
    path.name for path in (DOCS / "contributing").glob("*.md") if path.stem != "README"
)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_their_form(name: str) -> None:
    """A recipe names the rooms, has steps in order and says which tests to write; paths that it
    names exist, and the index has it.
    """
    one = page(f"docs/contributing/{name}")
    assert "`" in one.section("Rooms")
    assert re.search(r"^(## )?1\. ", one.text, re.MULTILINE)
    assert "tests/" in one.text
    assert f"({name})" in page("docs/contributing/README.md").text
    assert len(one.text.splitlines()) <= 150

    paths = re.findall(r"`((?:server|tests|docs|deploy)/[\w/.-]*\w)/?`", one.text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
