"""ms-swift's own tuners (`swift_type` in the config): W' = W + alpha / r * B A, as PEFT has it.

From modelscope/ms-swift, `swift/tuners/base.py` (`Swift.save_to_peft_format`): the tuner's name
stands between `lora_A` and `weight`, PEFT's prefix is missing, and the files lie in a folder of the
tuner's name. `additional_config.json`, which ms-swift writes beside a PEFT adapter, holds settings
of the training only (`lora_dtype`, `lorap_lr_ratio`, `lorap_emb_lr`) and changes nothing.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from pydantic import BaseModel

from lorabay.formats.config.config_fields import FIELDS, Alpha, Rank, parse
from lorabay.formats.tensor_names import missing_roles
from lorabay.formats.trainers.factors import as_updates, by_factor, in_base, product, stored
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from lorabay.algebra.updates import Update
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source, Updates

RECOGNISED = re.compile(r".+\.lora_[AB]\.(?:\w+\.)?weight")

_NAME = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.(?P<factor>lora_[AB])\.(?:\w+\.)?weight"
)
_FACTORS = ("lora_A", "lora_B")
_KNOWN = "LORA"


class _Config(BaseModel):
    model_config = FIELDS

    swift_type: str
    r: Rank
    lora_alpha: Alpha
    use_rslora: bool | None = False
    use_dora: bool | None = False


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module."""
    config = parse(_Config, source.config)
    named = by_factor(source.tensors, _NAME)
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *named.problems])

    reasons = [*named.problems]
    if config.swift_type != _KNOWN or config.use_dora:
        text = f"ms-swift's tuner {quoted(config.swift_type)}, or DoRA in it, is not read here"
        reasons.append(Reason("foreign_format", text))

    scale = config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)
    by_tensor: dict[str, tuple[Update, ...]] = {}
    for name, tensors in named.modules.items():
        module = in_base(name, base)
        missing = [*missing_roles(module, dict(tensors), _FACTORS)]
        if missing:
            reasons += missing
            continue
        a, b = (stored(source, tensors[factor]) for factor in _FACTORS)
        made = product(module, a, b, scale, base)
        if isinstance(made, Rejected):
            reasons += made.reasons
        else:
            by_tensor[f"{module}.weight"] = (made,)
    return as_updates("ms-swift", config.lora_alpha, by_tensor, reasons)
