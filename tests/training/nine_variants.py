"""Every variant on the e-commerce data and the default base: how long, how good, and servable.

    python -m tests.training.nine_variants OUTPUT [LIMIT] [VARIANT ...]

LIMIT examples of each set are used (0: all). One line of JSON for each variant; LongLoRA gets a
small part whatever the limit. Asked for the answers of PEFT's model, a server that serves OUTPUT
must give the same.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from lorabay.base.default import cache_folder, prepare
from lorabay.tools.check import check
from lorabay.training.recipe import laid_over, read_tables, recipe_of
from lorabay.training.train import train
from lorabay.training.trained import perplexity
from lorabay.training.variants.table import VARIANTS

ADAPTER = Path(__file__).parents[2] / "adapters" / "ecommerce"
OWN = {
    "vera": {"lora": {"rank": 256}},
    "longlora": {"variant": {"context": 16384}},
}
"""What a variant needs besides its name."""
SMALL = 16
"""Examples of each set for LongLoRA."""


def run(name: str, base: Path, output: Path, limit: int) -> dict[str, object]:
    """Train one variant and return its figures."""
    tables = laid_over(read_tables(ADAPTER / "recipe.toml"), {"variant": {"name": name}})
    recipe = recipe_of(laid_over(tables, OWN.get(name, {})), name)
    with TemporaryDirectory() as folder:
        data = Path(folder)
        (data / "data").mkdir()
        for file in (recipe.data.train, recipe.data.heldout):
            lines = (ADAPTER / file).read_text(encoding="utf-8").splitlines(keepends=True)
            count = SMALL if name == "longlora" else limit or len(lines)
            (data / file).write_text("".join(lines[:count]), encoding="utf-8")
        result = train(recipe, output / name.replace("+", "-plus"), base=base, data=data)

    figures: dict[str, object] = {
        "variant": name,
        "seconds": round(result.seconds),
        "steps": result.steps,
        "before": round(perplexity(result.loss_before), 2),
        "after": round(perplexity(result.loss_after), 2),
        "megabytes": round(result.size_bytes / 1e6, 1),
    }
    if VARIANTS[name].makes_adapter:
        (verdict,) = check([result.folder], base, max_rank=512)
        figures["servable"] = verdict.servable
    return figures


def main(output: Path, limit: int, names: list[str]) -> None:
    """Print the figures of each variant."""
    base = prepare(cache_folder())
    for name in names:
        sys.stdout.write(json.dumps(run(name, base, output, limit)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        int(sys.argv[2]) if len(sys.argv) > 2 else 0,
        sys.argv[3:] or list(VARIANTS),
    )
