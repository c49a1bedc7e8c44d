"""Measures the house: how the package is cut, how its parts depend on one another, how dense it is.

    python -m tests.house [CHECKOUT ...]

prints a Markdown table with a column for each checkout, this one if none is named. Only the syntax
is read; nothing is imported. A line of code is one that is neither blank nor part of a docstring.
A figure is a fact, not a limit: no test fails on one.
"""

from __future__ import annotations

import ast
import io
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[1]
WIDE = 100
LONG_BODY = 12
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)

NO_TEST_OF_ITS_OWN: Mapping[str, str] = {
    "__main__": "two lines that start the command line",
    "bench.scenarios.peft_merge": "a script that the merge scenario starts",
    "vllm_plugin.kernel.loops": "only the row kernel calls it, and its test compares results",
    "vllm_plugin.kernel.arguments": "only the row kernel calls it, and its test compares results",
}
"""Modules that need no test file of their name, each with the reason."""


@dataclass(frozen=True)
class Module:
    """One module of the package. `name` has no `lorabay.` in front; faces are packages' own."""

    name: str
    path: Path
    is_face: bool

    @cached_property
    def text(self) -> str:
        """The source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def lines(self) -> list[str]:
        """The source by lines."""
        return self.text.splitlines()

    @cached_property
    def code(self) -> list[str]:
        """The lines that are neither blank nor part of a docstring."""
        documented: set[int] = set()
        for node in ast.walk(self.tree):
            if is_text(node):
                documented.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        numbered = enumerate(self.lines, start=1)
        return [line for number, line in numbered if line.strip() and number not in documented]

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text)

    def count(self, *kinds: type[ast.AST]) -> int:
        """Return how many nodes are of these kinds."""
        return sum(isinstance(node, kinds) for node in ast.walk(self.tree))

    def comments(self) -> int:
        """Return the number of comments."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return sum(token.type == tokenize.COMMENT for token in tokens)

    def long_bodies(self) -> Iterator[bool]:
        """Yield, for each function of a long body, whether that has a blank line inside."""
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            body = node.body[1:] if ast.get_docstring(node) else node.body
            if not body:
                continue
            first, last = body[0].lineno, body[-1].end_lineno or body[-1].lineno
            if last - first + 1 >= LONG_BODY:
                yield any(not line.strip() for line in self.lines[first - 1 : last])

    def imported(self) -> Iterator[str]:
        """Yield the full names that it imports anywhere: at the top, in a function, for a type."""
        package = self.name if self.is_face else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                source = node.module or ""
                if node.level:
                    above = f"lorabay.{package}".split(".")[: None if node.level == 1 else -1]
                    source = ".".join([*above, source]).rstrip(".")
                yield from (f"{source}.{alias.name}" for alias in node.names)


def is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Return whether a statement is a text that nothing uses: a docstring of some sort."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


@dataclass(frozen=True)
class House:
    """The package in one checkout, and what it measures."""

    root: Path

    @cached_property
    def modules(self) -> dict[str, Module]:
        """Every module by its name; a package's face has the package's name."""
        top = self.root / "server" / "lorabay"
        made = {}
        for path in sorted(top.rglob("*.py")):
            parts = path.relative_to(top).with_suffix("").parts
            is_face = parts[-1] == "__init__"
            name = ".".join(parts[:-1] if is_face else parts)
            made[name] = Module(name, path, is_face)
        return made

    @cached_property
    def arrows(self) -> dict[str, set[str]]:
        """The modules that each module imports."""
        return {
            name: {target for target in map(self._module, module.imported()) if target} - {name}
            for name, module in self.modules.items()
        }

    def _module(self, imported: str) -> str:
        """Return the module that an imported name belongs to; nothing if it is not ours."""
        inside = imported.removeprefix("lorabay.")
        if inside == imported:
            return ""
        while inside and inside not in self.modules:
            inside = inside.rpartition(".")[0]
        return inside

    @property
    def lines(self) -> int:
        """Lines of the whole package."""
        return sum(len(module.lines) for module in self.modules.values())

    def rooms(self) -> Counter[str]:
        """Return the lines of each package at the top."""
        lines: Counter[str] = Counter()
        for module in self.modules.values():
            if module.is_face or "." in module.name:
                lines[module.name.partition(".")[0]] += len(module.lines)
        lines.pop("", None)
        return lines

    def fullest(self) -> tuple[str, int]:
        """Return the package with most modules of its own, faces and sub-packages not counted."""
        plain = [module.name for module in self.modules.values() if not module.is_face]
        packages = Counter(name.rpartition(".")[0] for name in plain if "." in name)
        return packages.most_common(1)[0]

    def circles(self) -> list[set[str]]:
        """Return the groups of modules that can reach one another."""
        reach = {name: self._reachable(name) for name in self.arrows}
        groups = {
            frozenset(other for other in reach[name] if name in reach[other]) for name in reach
        }
        return [set(group) for group in groups if len(group) > 1]

    def _reachable(self, start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            for target in self.arrows[ahead.pop()] - seen:
                seen.add(target)
                ahead.append(target)
        return seen

    def untested(self) -> list[str]:
        """Return the modules without a test file of their name in the mirrored folder."""
        tests = self.root / "tests"
        missing = []
        for module in self.modules.values():
            *folders, name = module.name.split(".")
            test = tests.joinpath(*folders, f"test_{name}.py")
            if not module.is_face and not test.exists() and module.name not in NO_TEST_OF_ITS_OWN:
                missing.append(module.name)
        return missing

    def fan_out(self) -> list[int]:
        """Return how many of our modules each module imports, in rising order."""
        return sorted(len(targets) for targets in self.arrows.values())

    def importers(self) -> Counter[str]:
        """Return how many of our modules import each module that is not a face."""
        counts = Counter(target for targets in self.arrows.values() for target in targets)
        plain = (name for name, module in self.modules.items() if not module.is_face)
        return Counter({name: counts[name] for name in plain})

    def long_bodies(self) -> list[bool]:
        """Return, for each long body, whether it has a blank line inside."""
        return [blank for module in self.modules.values() for blank in module.long_bodies()]

    def per_thousand(self, *kinds: type[ast.AST]) -> float:
        """Return how many nodes of these kinds there are in a thousand lines of code."""
        code = sum(len(module.code) for module in self.modules.values())
        return 1000 * sum(module.count(*kinds) for module in self.modules.values()) / code

    def figures(self) -> dict[str, str]:
        """Return every figure, in the order of the table."""
        modules = self.modules.values()
        code = [line for module in modules for line in module.code]
        plain = [module for module in modules if not module.is_face]
        room, size = self.rooms().most_common(1)[0]
        fullest, most = self.fullest()
        fan_out = self.fan_out()
        alone = sum(count == 1 for count in self.importers().values())
        bodies = self.long_bodies()
        comments = sum(module.comments() for module in modules)

        return {
            "modules, lines": f"{len(plain)}, {self.lines:,}",
            "largest package, share of the code": f"`{room}`, {size / self.lines:.0%}",
            "fullest package without its sub-packages, modules": f"`{fullest}`, {most}",
            "circles of imports, local and type-only counted": str(len(self.circles())),
            "modules without a test file of their name": str(len(self.untested())),
            "lines of README.md": str(len((self.root / "README.md").read_text().splitlines())),
            "modules that a module imports, p90": str(fan_out[len(fan_out) * 9 // 10]),
            "modules with exactly one importer": f"{alone} ({alone / len(plain):.0%})",
            f"bodies of {LONG_BODY} lines or more with a blank line inside": (
                f"{sum(bodies) / max(len(bodies), 1):.0%} of {len(bodies)}"
            ),
            f"lines of code over {WIDE} columns": f"{share(len(line) > WIDE for line in code):.1%}",
            "comprehensions in 1,000 lines of code": f"{self.per_thousand(*COMPREHENSIONS):.0f}",
            "ternaries in 1,000 lines of code": f"{self.per_thousand(ast.IfExp):.0f}",
            "comments, share of the lines": f"{comments / self.lines:.1%}",
            "characters a line of code": f"{sum(map(len, code)) / len(code):.1f}",
        }


def share(flags: Iterator[bool]) -> float:
    """Return how much of the flags are true."""
    values = list(flags)
    return sum(values) / len(values)


def table(houses: Mapping[str, House]) -> str:
    """Return the figures of the houses side by side, as Markdown."""
    columns = [house.figures() for house in houses.values()]
    head = f"| what | {' | '.join(houses)} |"
    rule = f"|---|{'---|' * len(houses)}"
    rows = [
        f"| {name} | {' | '.join(figures[name] for figures in columns)} |" for name in columns[0]
    ]
    return "\n".join([head, rule, *rows])


def main(arguments: list[str]) -> None:
    """Print the table, then what each house leaves to do."""
    roots = [Path(argument).resolve() for argument in arguments] or [ROOT]
    houses = {root.name: House(root) for root in roots}
    sys.stdout.write(table(houses) + "\n")

    for name, house in houses.items():
        sys.stdout.write(f"\n{name}: circles: {house.circles()}\n")
        sys.stdout.write(f"{name}: untested: {', '.join(house.untested())}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
