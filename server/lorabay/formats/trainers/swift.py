"""ms-swift's own tuners (`swift_type` in the config): W' = W + alpha / r * B A, as PEFT has it.

From modelscope/ms-swift, `swift/tuners/base.py` (`Swift.save_to_peft_format`): the tuner's name
stands between `lora_A` and `weight`, PEFT's prefix is missing, and the files lie in a folder of the
tuner's name. The config has PEFT's fields (`swift/tuners/lora.py`, `LoRAConfig`), which mean what
they mean there, and two of its own that change the formula. `additional_config.json`, which
ms-swift writes beside a PEFT adapter, holds settings of the training only (`lora_dtype`,
`lorap_lr_ratio`, `lorap_emb_lr`) and changes nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lorabay.formats.config.config_fields import parse
from lorabay.formats.config.config_values import normalised
from lorabay.formats.config.lora_config import LoraConfig, unmergeable_problems
from lorabay.formats.pissa import init_problems
from lorabay.formats.tensor_names import missing_roles
from lorabay.formats.trainers.factors import Collected, by_factor, in_base, product, stored
from lorabay.reasons import Reason, Rejected, quoted, rejected

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lorabay.algebra.updates import LowRank
    from lorabay.base.shapes import BaseShapes
    from lorabay.files.safetensors_header import TensorInfo
    from lorabay.formats.interface import Source, Updates

RECOGNISED = re.compile(r".+\.lora_[AB]\.(?:\w+\.)?weight")

_NAME = re.compile(
    r"(?:base_model\.model\.)?(?P<module>.+)\.(?P<factor>lora_[AB])\.(?:\w+\.)?weight"
)
_FACTORS = ("lora_A", "lora_B")
_KNOWN = "LORA"
_OWN_FORMULAS = ("use_qa_lora", "use_merged_linear")
"""Fields of ms-swift alone with which the factors make no such product."""


def updates(source: Source, base: BaseShapes) -> Updates | Rejected:
    """Return a product for each module."""
    stated = normalised(source.config)
    config = parse(LoraConfig, stated)
    named = by_factor(source.tensors, _NAME)
    reasons = [*_feature_problems(stated), *named.problems]
    if isinstance(config, Rejected):
        return rejected([*config.reasons, *reasons])

    modules = {name: in_base(name, base) for name in named.modules}
    unfit = [*config.problems(modules.values(), trusted=source.trusted)]
    if unfit:
        return rejected([*reasons, *unfit])

    collected = Collected(reasons)
    for name, tensors in named.modules.items():
        module = modules[name]
        made = _module(source, config, module, tensors, base)
        collected.add(made if isinstance(made, Rejected) else {f"{module}.weight": (made,)})
    return collected.as_updates("ms-swift", config.lora_alpha)


def _feature_problems(config: Mapping[str, object]) -> Iterator[Reason]:
    """Return a reason for whatever makes the adapter something else than products."""
    tuner = config.get("swift_type")
    if tuner != _KNOWN or config.get("use_dora"):
        text = f"ms-swift's tuner {quoted(tuner)}, or DoRA in it, is not read here"
        yield Reason("foreign_format", text)
    for field in _OWN_FORMULAS:
        if config.get(field):
            yield Reason("foreign_format", f"{field} of ms-swift is set, which is not read here")
    yield from unmergeable_problems(config)
    yield from init_problems(config)


def _module(
    source: Source,
    config: LoraConfig,
    module: str,
    tensors: Mapping[str, TensorInfo],
    base: BaseShapes,
) -> LowRank | Rejected:
    """Return the product of one module, with the rank and the alpha that the config gives it."""
    missing = tuple(missing_roles(module, dict(tensors), _FACTORS))
    if missing:
        return rejected(missing)

    a, b = (stored(source, tensors[factor]) for factor in _FACTORS)
    rank = config.rank_of(module, trusted=source.trusted)
    made = product(module, a, b, config.scale_of(module, rank, trusted=source.trusted), base)
    if isinstance(made, Rejected) or a.shape[0] == rank:
        return made
    text = f"{quoted(a.name)} has rank {a.shape[0]}, the config says {rank}"
    return rejected([Reason("rank", text)])
