"""Names that a tensor of a base's files may have in a model of transformers.

Classes were renamed since many files were published, and models keep the experts of a layer in a
module that no file names so. The names are those of transformers' `conversion_mapping`. Knows no
shapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_RENAMED = (
    (".block_sparse_moe.input_linear.weight", ".block_sparse_moe.experts.gate_up_proj"),
    (".block_sparse_moe.output_linear.weight", ".block_sparse_moe.experts.down_proj"),
    (".mlp.experts.fc1.weight", ".mlp.experts.gate_up_proj"),
    (".mlp.experts.fc2.weight", ".mlp.experts.down_proj"),
    (".block_sparse_moe.router.layer.weight", ".block_sparse_moe.router.weight"),
    (".block_sparse_moe.gate.weight", ".mlp.router.weight"),
    (".block_sparse_moe.", ".mlp."),
)
"""Part of a name in files -> the same part in a model: GraniteMoE, Aria, PhiMoE, Mixtral."""


def aliases(name: str) -> Iterator[str]:
    """Yield the name of a tensor in files, and those that it may have in a model."""
    yield name
    for before, after in _RENAMED:
        if before in name:
            yield name.replace(before, after)


def in_model(name: str) -> str:
    """Return the name that a model gives to a tensor that holds all experts of a layer."""
    _, *others = aliases(name)
    return others[0] if others else name
