"""`merge.json`: what a merged model was made from and how, so that anyone can check it or make it
again.

The same inputs give the same file: it holds no time and no path of the machine.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import TYPE_CHECKING

from lorabay.algebra.updates import (
    Dense,
    Directional,
    Gated,
    LowRank,
    PeftLayer,
    Replaced,
    ReplacedRows,
)
from lorabay.merge.job import LAYOUT

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.algebra.updates import Update
    from lorabay.merge.job import Work
    from lorabay.merge.report import MergeReport

_OWN = frozenset({"lock", "inputs.json"})

_FORMULAS = {
    LowRank: "W + s B A",
    Directional: "m (W + s B A) / ||W + s B A||",
    Dense: "W + D",
    Gated: "g W",
    Replaced: "trained as a whole",
    ReplacedRows: "rows trained as a whole",
    PeftLayer: "PEFT's own layer",
}


def formula(updates: tuple[Update, ...]) -> str:
    """What is done to one tensor, in words of mathematics."""
    return ", then ".join(_FORMULAS[type(update)] for update in updates)


def provenance(report: MergeReport, work: Work, folder: Path) -> str:
    """The file's text. `folder` holds all other files of the result."""
    adapter = work.updates
    files = sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix != ".facts" and path.name not in _OWN
    )
    document = {
        "layout": LAYOUT,
        "tool": {"name": "lorabay", "version": version("lorabay")},
        "base": {
            "name": report.base,
            "files": {file.name: file.stat().st_size for file in work.base.files},
            "quantised": work.dense.method,
        },
        "adapter": {
            "name": report.adapter,
            "sha256": report.adapter_digest,
            "format": adapter.format,
            "rank": adapter.rank,
            "alpha": adapter.alpha,
            "trained_on": adapter.base_model,
        },
        "arithmetic": work.arithmetic,
        "dtype": report.dtype,
        "head_untied": report.untied,
        "changed_share": report.changed_share,
        "change_ratio": report.ratio,
        "tensors": {
            change.name: {
                "formula": change.formula,
                "weight_norm": change.weight_norm,
                "change_norm": change.change_norm,
                "ratio": change.ratio,
                "changed_share": change.changed_share,
            }
            for change in report.tensors
        },
        "warnings": list(report.warnings),
        "verification": report.verification.as_dict() if report.verification else None,
        "files": {path.name: path.stat().st_size for path in files},
    }
    return json.dumps(document, indent=2) + "\n"
