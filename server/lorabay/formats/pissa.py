"""Undoes PiSSA, OLoRA and CorDA: subtracts the part of the base that their initialisation took.

Such an initialisation moves a part of the base's weight, s B0 A0, into the adapter. On the original
base, W' = W - s B0 A0 + s B A is one product of both ranks. With DoRA, the norms are those of the
complete weight, and magnitudes stay: PEFT takes them from what the initialisation left. Biases are
never moved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.algebra.updates import Directional, LowRank
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import Update

    ByTensor = Mapping[str, tuple[Update, ...]]

_BIAS = ".bias"

_HARMLESS_INITS = frozenset({"gaussian", "orthogonal", "eva", "mica"})
"""Initialisations with a name that leave the base as it was."""


def init_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Return a reason if the adapter's initialisation took a part of the base into A and B."""
    init = config.get("init_lora_weights", True)
    if isinstance(init, str) and init.lower() not in _HARMLESS_INITS:
        text = (
            f"init_lora_weights is {quoted(init)}, which changes the base's own weights; "
            "convert the adapter with PEFT's "
            "save_pretrained(path_initial_model_for_weight_conversion=...)"
        )
        yield Reason("init_changed_base", text)


def without_initial(trained: ByTensor, initial: ByTensor) -> ByTensor | Rejected:
    """Return the updates of the original base.

    `trained` are the adapter's updates, `initial` those of the adapter as it was initialised.
    Rejected with every module in which the difference is unknown.
    """
    by_tensor = dict(trained)
    reasons: list[Reason] = []

    for name in sorted(trained.keys() | initial.keys()):
        if name.endswith(_BIAS):
            continue
        module = name.removesuffix(".weight")
        difference = _subtracted(module, trained.get(name, ()), initial.get(name, ()))
        if isinstance(difference, Reason):
            reasons.append(difference)
        else:
            by_tensor[name] = (difference,)

    return rejected(reasons) if reasons else by_tensor


def _subtracted(
    module: str, trained: tuple[Update, ...], initial: tuple[Update, ...]
) -> Update | Reason:
    if not initial:
        text = (
            f"module {quoted(module)} is missing in the initial adapter: "
            "what it took out of the base is unknown"
        )
        return Reason("init_changed_base", text)
    if not trained:
        text = f"module {quoted(module)} is in the initial adapter and missing in the trained one"
        return Reason("init_changed_base", text)

    # Only a product can be subtracted from a product, inside DoRA or not.
    now, before = trained[0], initial[0]
    single = len(trained) == len(initial) == 1
    if not single or now.low_rank is None or before.low_rank is None:
        text = (
            f"what the initialisation took out of {quoted(module)} "
            "cannot be subtracted from what is done to it"
        )
        return Reason("init_changed_base", text)

    difference = _difference(now.low_rank, before.low_rank)
    return replace(now, low_rank=difference) if isinstance(now, Directional) else difference


def _difference(now: LowRank, before: LowRank) -> LowRank:
    """Return now - before as one product with the scale of `now`."""
    # B and B0 get their scales, where the result has one; an alpha of 0 has no ratio to another.
    scale = now.scale or 1.0
    own, ratio = np.float32(now.scale / scale), np.float32(-before.scale / scale)
    return LowRank(
        lambda: np.concatenate([now.a(), before.a()]),
        lambda: np.concatenate([now.b() * own, before.b() * ratio], axis=1),
        now.rank + before.rank,
        scale,
    )
