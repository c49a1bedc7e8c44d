"""QLoRA: the frozen base in four bits, the adapter in full precision.

The base is NF4 with its scales quantised once more, by bitsandbytes, on a GPU and on a CPU alike.
DoRA's norms are those of the de-quantised weight. The adapter is plain LoRA, and is served over the
base in the format that the server holds it in.
Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs" (2023).
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from lorabay.base.causal_lm import load_model
from lorabay.errors import SetupError
from lorabay.training.variants.interface import Variant
from lorabay.training.variants.lora import adapt, groups, save, sentence as lora_sentence

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.training.recipe import Recipe

_PACKS = "support_avx512bf16_for_cpu"


def load(base: Path, recipe: Recipe) -> Any:
    """Return the base in four bits; raises SetupError without bitsandbytes."""
    if find_spec("bitsandbytes") is None:
        raise SetupError("the variant qlora needs bitsandbytes: pip install 'lorabay[forge]'")
    from transformers import BitsAndBytesConfig

    precision = getattr(torch, recipe.training.precision)
    four_bits = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=precision,
    )
    model = load_model(base, dtype=precision, quantization_config=four_bits)

    # Processors with AVX512-BF16 get another layout of the weights outside of training, in which
    # nothing can be trained afterwards.
    for module in model.modules():
        if hasattr(module, _PACKS):
            setattr(module, _PACKS, False)
    return model


def sentence(recipe: Recipe) -> str:
    """Name the adapter, and what it was trained over."""
    return f"{lora_sentence(recipe)}, trained over the base in four bits (QLoRA, NF4)"


QLORA = Variant(adapt, groups, save, sentence, load=load)
