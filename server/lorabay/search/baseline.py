"""The winner of a search as a file that other recipes inherit: `adapters/baseline.toml`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lorabay.training.recipe import Recipe

BASELINE_FILE = "baseline.toml"

_NOT_SHARED = frozenset({"seed", "evaluate_every"})
"""Settings that say nothing about another domain."""


def baseline(recipe: Recipe, remarks: list[str]) -> str:
    """Return the text of a file with a recipe's variant, shape and training.

    `remarks` stand above as comments. Values that are the recipe's defaults are left out, and so
    are its data.
    """
    tables = recipe.model_dump(include={"variant", "lora", "training"}, exclude_defaults=True)
    # The name of a variant is what the table is about, also where it is the default.
    tables["variant"] = {"name": recipe.variant.name, **tables.get("variant", {})}

    lines = [f"# {remark}" for remark in remarks]
    for name in ("variant", "lora", "training"):
        if name in tables:
            lines += ["", f"[{name}]", *_keys(tables[name])]
    return "\n".join(lines) + "\n"


def _keys(table: dict[str, Any]) -> Iterator[str]:
    for name, value in table.items():
        if name not in _NOT_SHARED and value is not None:
            yield f"{name} = {_value(value)}"


def _value(value: Any) -> str:
    """Return a value of a recipe as TOML, which writes it as JSON does."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
