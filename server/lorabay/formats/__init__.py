"""The PEFT formats that can be served, by the `peft_type` of their config, and advice on those that
cannot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.formats import adalora, ia3, loha, lokr, lora, lora_updates, peft_layers, vera, whole
from lorabay.reasons import Reason, quoted

if TYPE_CHECKING:
    from lorabay.formats.interface import Format, UpdateFormat

FORMATS: dict[str, Format] = {
    "LORA": lora,
}

CONVERTED = frozenset({"ADALORA", "LOHA", "LOKR", "VERA"})
"""The types that are served as the plain LoRA that they are equal to."""

UPDATE_FORMATS: dict[str, UpdateFormat] = {
    "LORA": lora_updates,
    "ADALORA": adalora,
    "VERA": vera,
    "LOHA": loha,
    "LOKR": lokr,
    "IA3": ia3,
    **dict.fromkeys(peft_layers.TYPES, peft_layers),
    **dict.fromkeys(whole.TYPES, whole),
}
"""The same as updates of the base's weights, by `peft_type`."""

SERVED = (*FORMATS, *sorted(CONVERTED))

_CONVERT = "convert it to LoRA (PEFT's convert_to_lora) or merge it into the base"
_MERGE = "merge it into the base and serve the result"
_RETRAIN = (
    "it adds no weights to the base's layers and cannot be merged; train a LoRA adapter instead"
)

_ADVICE = {
    **dict.fromkeys(("DELORA", "GRALORA", "HIRA", "RANDLORA"), _CONVERT),
    **dict.fromkeys(
        ("BOFT", "C3A", "FOURIERFT", "HRA", "IA3", "MISS", "OFT", "ROAD", "SHIRA", "VBLORA"), _MERGE
    ),
    **dict.fromkeys(("LN_TUNING", "OSF", "TRAINABLE_TOKENS", "WAVEFT"), _MERGE),
    **dict.fromkeys(("ADAPTION_PROMPT", "CARTRIDGE", "CPT", "MULTITASK_PROMPT_TUNING"), _RETRAIN),
    **dict.fromkeys(("POLY", "PREFIX_TUNING", "PROMPT_TUNING", "P_TUNING", "XLORA"), _RETRAIN),
}


def refusal(peft_type: object) -> Reason:
    """Why an adapter whose `peft_type` is not in `FORMATS` is refused, and what to do."""
    advice = _ADVICE.get(peft_type) if isinstance(peft_type, str) else None
    if advice is None:
        return Reason(
            "peft_type_unknown",
            f"peft_type {quoted(peft_type)} is unknown; served are: {', '.join(SERVED)}",
        )
    return Reason(
        "peft_type_unsupported", f"adapters of peft_type {peft_type} are not served; {advice}"
    )
