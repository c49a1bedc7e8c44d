"""The PEFT types: which module reads each, whether it is served, and otherwise what to do.

`FORMATS` is the one table of all types that PEFT knows. Knows nothing of folders or engines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.formats import adalora, ia3, loha, lokr, lora, modules_to_save, peft_layers, vera
from lorabay.formats.advice import MERGE
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.formats.interface import Format

_CONVERT = "convert it to LoRA (PEFT's convert_to_lora) or merge it into the base"
_MERGE = f"{MERGE}, and serve the result"
_RETRAIN = (
    "it adds no weights to the base's layers and cannot be merged; train a LoRA adapter instead"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One PEFT type.

    `module` reads it as updates; without one, this program can do nothing with the type. `served`
    types are plain LoRA or exactly equal to it. `advice` completes the refusal of the others.
    """

    module: Format | None = None
    served: bool = False
    advice: str = ""


FORMATS: dict[str, Entry] = {
    "LORA": Entry(lora, served=True),
    "ADALORA": Entry(adalora, served=True),
    "LOHA": Entry(loha, served=True),
    "LOKR": Entry(lokr, served=True),
    "VERA": Entry(vera, served=True),
    "IA3": Entry(ia3, advice=_MERGE),
    "LN_TUNING": Entry(modules_to_save, advice=_MERGE),
    "TRAINABLE_TOKENS": Entry(modules_to_save, advice=_MERGE),
    "DELORA": Entry(peft_layers, advice=_CONVERT),
    "GRALORA": Entry(peft_layers, advice=_CONVERT),
    "HIRA": Entry(peft_layers, advice=_CONVERT),
    "RANDLORA": Entry(peft_layers, advice=_CONVERT),
    "BOFT": Entry(peft_layers, advice=_MERGE),
    "C3A": Entry(peft_layers, advice=_MERGE),
    "FOURIERFT": Entry(peft_layers, advice=_MERGE),
    "HRA": Entry(peft_layers, advice=_MERGE),
    "MISS": Entry(peft_layers, advice=_MERGE),
    "OFT": Entry(peft_layers, advice=_MERGE),
    "ROAD": Entry(peft_layers, advice=_MERGE),
    "SHIRA": Entry(peft_layers, advice=_MERGE),
    "VBLORA": Entry(peft_layers, advice=_MERGE),
    "WAVEFT": Entry(peft_layers, advice=_MERGE),
    "OSF": Entry(advice="merge it with PEFT's own merge_and_unload and serve the result"),
    "ADAPTION_PROMPT": Entry(advice=_RETRAIN),
    "CARTRIDGE": Entry(advice=_RETRAIN),
    "CPT": Entry(advice=_RETRAIN),
    "MULTITASK_PROMPT_TUNING": Entry(advice=_RETRAIN),
    "PREFIX_TUNING": Entry(advice=_RETRAIN),
    "PROMPT_TUNING": Entry(advice=_RETRAIN),
    "P_TUNING": Entry(advice=_RETRAIN),
    "POLY": Entry(advice=_RETRAIN),
    "XLORA": Entry(advice=_RETRAIN),
}
"""`peft_type` of the config -> what is known of the type."""

SERVED = tuple(name for name, entry in FORMATS.items() if entry.served)


def refusal(config: Mapping[str, object]) -> Reason:
    """Return why an adapter of a type that is not served is refused, and what to do about it."""
    peft_type = config.get("peft_type")
    if peft_type is None:
        return Reason("peft_type_unknown", f"adapter_config.json {_instead_of_a_type(config)}")

    entry = FORMATS.get(peft_type) if isinstance(peft_type, str) else None
    if entry is None or entry.served:
        text = f"peft_type {quoted(peft_type)} is unknown; served are: {', '.join(SERVED)}"
        return Reason("peft_type_unknown", text)
    text = f"adapters of peft_type {peft_type} are not served; {entry.advice}"
    return Reason("peft_type_unsupported", text)


def _instead_of_a_type(config: Mapping[str, object]) -> str:
    """Return what a config without a type is, and what to do, as the end of a sentence."""
    if "architectures" in config or "model_type" in config:
        return "is a model's config, not an adapter's; copy it from where the adapter was trained"
    if "model_class" in config and isinstance(config.get("config"), dict):
        return "is of AdapterHub's library, not of PEFT; train a LoRA adapter with PEFT instead"
    return 'has no peft_type; if the adapter is LoRA, add "peft_type": "LORA"'
