"""The PEFT types that only replace tensors or rows of them (LN_TUNING, TRAINABLE_TOKENS): nothing
is left to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lorabay.formats.interface import Updates
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from lorabay.base.shapes import BaseShapes
    from lorabay.formats.interface import Source

TYPES = ("LN_TUNING", "TRAINABLE_TOKENS")


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    if source.tensors:
        return rejected(
            Reason("unexpected_tensor", f"unexpected tensor {quoted(tensor.name)}")
            for tensor in source.tensors
        )
    return Updates(str(source.config["peft_type"]).lower(), 0, 1.0, {})
