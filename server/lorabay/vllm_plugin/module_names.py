"""Names of modules: as a base's files have them, and as vLLM's model of the base has them.

Adapters name modules as the base's files do. vLLM renames them while it reads an adapter, by a
table of the model's class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vllm.lora.utils import parse_fine_tuned_lora_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vllm.lora.model_manager import LoRAModelManager

PREFIX = "base_model.model."

_AROUND = "model."
"""What vLLM leaves out of a layer's name, of a base that pools, where no weights are found."""

_FACTORS = (".lora_A.weight", ".lora_B.weight", ".lora_embedding_A", ".lora_embedding_B")


def renames_of(model: Any) -> Any:
    """Return the model's table of renames, as vLLM applies it to adapters; None without one."""
    mapper = getattr(model, "hf_to_vllm_mapper", None)
    return None if mapper is None else mapper.get_rename_mapper()


def factor_name(module: str) -> str:
    """Return the name of a factor of `module` in an adapter's file."""
    return f"{PREFIX}{module}{_FACTORS[0]}"


def vllm_name(module: str, renames: Any) -> str:
    """Return vLLM's name of a module of the base."""
    name: str = parse_fine_tuned_lora_name(factor_name(module), renames)[0]
    return name


def layer_name(module: str, manager: LoRAModelManager) -> str:
    """Return the name of the layer, or of the part of one, that takes the weights of `module`.

    A base that pools may have been saved without the class around its layers; vLLM looks for the
    name with and without that class.
    """
    around = f"{_AROUND}{module}"
    parts = (part for parts in manager.packed_modules.values() for part in parts)
    known = {*manager.modules, *parts}
    return around if module not in known and around in known else module


def modules_in(tensors: Iterable[str]) -> list[str]:
    """Return the modules that an adapter's file has factors of, from the names of its tensors."""
    modules = {
        name.removeprefix(PREFIX).removesuffix(factor)
        for name in tensors
        for factor in _FACTORS
        if name.endswith(factor)
    }
    return sorted(modules)
