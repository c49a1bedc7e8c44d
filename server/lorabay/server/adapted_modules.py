"""Which modules the engine adapts on a GPU, where the user did not say.

vLLM takes room in every slot for every module, those of the vocabulary among them, and runs two
kernels over the vocabulary in each step. Hardly an adapter changes head or embedding, and without
them log-probabilities of prompts are right on a GPU. So they are left out while no adapter changes
them. Only bases of the usual modules are decided about; of others nobody knows what vLLM calls
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lorabay.server.user_options import target_modules

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.versions import AdapterSpec

OPTION = "lora_target_modules"

LAYERS = frozenset({"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"})
"""Last parts of the modules of a layer, in bases of Llama's form."""

VOCABULARY = frozenset({"embed_tokens", "lm_head"})


def usual_targets(base: BaseShapes, specs: Iterable[AdapterSpec]) -> tuple[str, ...] | None:
    """Return the last parts of the modules to adapt for adapters of `specs`; None for all."""
    lasts = {module.rpartition(".")[2] for module in base.shapes}
    if not lasts <= LAYERS | VOCABULARY or ".experts" in " ".join(base.tensors):
        return None

    changed = {module.rpartition(".")[2] for spec in specs for module in spec.modules}
    if changed & VOCABULARY:
        return None
    return tuple(sorted(lasts & LAYERS)) or None


def left_out(
    base: BaseShapes, chosen: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, str]:
    """Return the base's modules that the options `chosen` leave out, each with the reason.

    Empty if the user `asked` for modules: adapters were held against those from the beginning.
    """
    targets = target_modules(chosen)
    if targets is None or asked.get(OPTION) is not None:
        return {}

    names = ", ".join(f'"{name}"' for name in sorted(LAYERS | VOCABULARY))
    why = (
        "no adapter changed it when the server started; start again, or with "
        f"--engine '{OPTION}=[{names}]'"
    )
    return {module: why for module in base.shapes if module.rpartition(".")[2] not in targets}
