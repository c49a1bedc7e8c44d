"""What a merged model must answer like: the base with the adapter beside it, loaded and run by PEFT
itself.

A base that no library here can load (it is quantised) is stood in for by the merged folder with its
changed tensors put back to the base's own, de-quantised. Knows how PEFT treats tied heads, and
adapters that changed the base at first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from transformers import AutoConfig, AutoModelForCausalLM

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from lorabay.algebra.updates import Load

    Answer = Callable[[Any, Sequence[torch.Tensor]], list[torch.Tensor]]


@dataclass(frozen=True, slots=True)
class Reference:
    """`changes`: config fields that the adapter sets. `stand_in`: a loadable folder for a base that
    is not, with the base's own values of the tensors that differ. `scales`: factors of the outputs
    of modules, before the adapter."""

    base: Path
    adapter: Path
    dtype: torch.dtype
    changes: Mapping[str, object] = field(default_factory=dict)
    untied: bool = False
    initial: Path | None = None
    stand_in: tuple[Path, Mapping[str, Load]] | None = None
    scales: Mapping[str, Load] = field(default_factory=dict)


def reference_answers(
    reference: Reference, inputs: Sequence[torch.Tensor], answer: Answer
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The answers of base + adapter, and those of the same weights merged by PEFT and rounded to
    the dtype.
    """
    try:
        with quiet_transformers():
            model = _with_adapter(_base(reference), reference)
            expected = answer(model, inputs)
            return expected, answer(_rounded(model, reference), inputs)
    except (
        OSError,
        ValueError,
        RuntimeError,
        KeyError,
        AttributeError,
        NotImplementedError,
    ) as error:
        text = " ".join(str(error).split())[:300]
        raise SetupError(
            f"PEFT cannot run {reference.adapter} on {reference.base}, so the merge cannot be verified: {text}; "
            "--no-verify merges without"
        ) from error


def _base(reference: Reference) -> Any:
    folder = reference.base if reference.stand_in is None else reference.stand_in[0]
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    rows = reference.changes.get("vocab_size")
    for name, value in reference.changes.items():
        if name != "vocab_size":
            setattr(config.get_text_config(), name, value)
    model = AutoModelForCausalLM.from_pretrained(
        folder, config=config, dtype=torch.float32, local_files_only=True
    )
    if isinstance(rows, int) and reference.stand_in is None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    with torch.no_grad():
        if reference.stand_in is not None:
            for name, load in reference.stand_in[1].items():
                model.get_parameter(name).copy_(torch.from_numpy(load()))
        for module, load in reference.scales.items():
            model.get_parameter(f"{module}.weight").mul_(torch.from_numpy(load()).reshape(-1, 1))
    return model.eval()


def _with_adapter(base: Any, reference: Reference) -> Any:
    if reference.initial is not None:
        base = _residual(base, reference.initial)
    return PeftModel.from_pretrained(
        base, reference.adapter, config=_config(reference.adapter)
    ).eval()


@torch.no_grad()
def _residual(base: Any, initial: Path) -> Any:
    """The base without what the initialisation took out of it: W - s B0 A0, also where the adapter
    is a DoRA.
    """
    model = PeftModel.from_pretrained(base, initial, config=_config(initial))
    for module in model.modules():
        if isinstance(module, LoraLayer):
            weight = module.get_base_layer().weight
            weight.sub_(module.get_delta_weight("default").to(weight.dtype))
    return model.unload()


def _config(folder: Path) -> Any:
    config = PeftConfig.from_pretrained(folder)
    if isinstance(getattr(config, "init_lora_weights", None), str):
        # The weights are loaded; initialising them again would change the base a second time.
        config.init_lora_weights = True
    return config


@torch.no_grad()
def _rounded(model: Any, reference: Reference) -> Any:
    if reference.untied or _is_merged_twice(model):
        _untie(model)
    merged = model.merge_and_unload()
    for parameter in merged.parameters():
        parameter.copy_(parameter.to(reference.dtype))
    return merged


def _is_merged_twice(model: Any) -> bool:
    """With layers of PEFT on both ends of one tied matrix (`ensure_weight_tying`), each adds its
    update to it.
    """
    return all(part is not _innermost(part) for part in _ends(model))


def _untie(model: Any) -> None:
    """PEFT merges into a tied embedding in place, which would change the head along with it."""
    inner = model.get_base_model()
    head, embedding = map(_innermost, _ends(model))
    if head.weight is embedding.weight:
        head.weight = torch.nn.Parameter(head.weight.clone(), requires_grad=False)
    inner.config.get_text_config().tie_word_embeddings = False
    inner.config.tie_word_embeddings = False


def _ends(model: Any) -> tuple[Any, Any]:
    """Head and embedding."""
    inner = model.get_base_model()
    return inner.get_output_embeddings(), inner.get_input_embeddings()


def _innermost(module: Any) -> Any:
    while (
        inner := getattr(module, "base_layer", None) or getattr(module, "original_module", None)
    ) is not None:
        module = inner
    return module
