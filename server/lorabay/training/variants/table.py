"""Every variant by its name in a recipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.training.variants.adalora import ADALORA
from lorabay.training.variants.full import FULL
from lorabay.training.variants.longlora import LONGLORA
from lorabay.training.variants.lora import LORA
from lorabay.training.variants.pissa import PISSA
from lorabay.training.variants.qlora import QLORA
from lorabay.training.variants.vera import VERA

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.training.variants.interface import Variant

VARIANTS: Mapping[str, Variant] = {
    "lora": LORA,
    "rslora": LORA,
    "dora": LORA,
    "lora+": LORA,
    "adalora": ADALORA,
    "vera": VERA,
    "pissa": PISSA,
    "qlora": QLORA,
    "longlora": LONGLORA,
    "full": FULL,
}
