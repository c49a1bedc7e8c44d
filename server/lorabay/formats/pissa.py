"""Takes the part of the base that an initialisation moved into an adapter (PiSSA, OLoRA, CorDA) out
of it again.

W' = W - s B0 A0 + s B A is one product of both ranks. DoRA's norms are those of this whole weight,
and its magnitudes stay: PEFT takes them from what the initialisation left. Biases are never moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Directional, LowRank
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from lorabay.algebra.updates import Update
    from lorabay.formats.interface import Updates

_BIAS = ".bias"


def without_initial(trained: Updates, initial: Updates) -> Updates | Rejected:
    """`trained` on the original base. Rejected with every module where that cannot be told."""
    by_tensor = dict(trained.by_tensor)
    reasons: list[Reason] = []
    for name in sorted(trained.by_tensor.keys() | initial.by_tensor.keys()):
        if name.endswith(_BIAS):
            continue
        found = _less(
            name.removesuffix(".weight"),
            trained.by_tensor.get(name, ()),
            initial.by_tensor.get(name, ()),
        )
        if isinstance(found, Reason):
            reasons.append(found)
        else:
            by_tensor[name] = (found,)
    return rejected(reasons) if reasons else replace(trained, by_tensor=by_tensor)


def _less(module: str, trained: tuple[Update, ...], initial: tuple[Update, ...]) -> Update | Reason:
    match trained, initial:
        case (LowRank() as now,), (LowRank() | Directional() as before,):
            return _difference(now, _product(before))
        case (Directional() as now,), (LowRank() | Directional() as before,):
            return replace(now, low_rank=_difference(now.low_rank, _product(before)))
        case _, ():
            text = f"module {quoted(module)} is missing in the initial adapter: what it took out of the base is unknown"
        case (), _:
            text = (
                f"module {quoted(module)} is in the initial adapter and missing in the trained one"
            )
        case _:
            text = f"what the initialisation took out of {quoted(module)} cannot be subtracted from what is done to it"
    return Reason("init_changed_base", text)


def _product(update: LowRank | Directional) -> LowRank:
    return update if isinstance(update, LowRank) else update.low_rank


def _difference(now: LowRank, before: LowRank) -> LowRank:
    ratio = np.float32(-before.scale / now.scale)
    return LowRank(
        lambda: np.concatenate([now.a(), before.a()]),
        lambda: np.concatenate([now.b(), before.b() * ratio], axis=1),
        now.rank + before.rank,
        now.scale,
    )
