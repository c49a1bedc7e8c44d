"""The answers that a merged model must reach: those of its base with the adapter beside it.

Loads torch and PEFT. Knows how PEFT treats tied heads, and adapters whose initialisation changed
the base.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from peft import PeftModel, get_peft_model, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from transformers import AutoConfig

from lorabay.base.causal_lm import model_class
from lorabay.base.module_names import ModuleNames
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.formats.module_names import layout_in
from lorabay.merge.verify.answers import answer
from lorabay.merge.verify.peft_config import peft_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lorabay.algebra.updates import Load
    from lorabay.base.parameters import Matrix


@dataclass(frozen=True, slots=True)
class Reference:
    """A base and an adapter that PEFT loads."""

    base: Path
    adapter: Path

    dtype: torch.dtype
    """Dtype of the merged model."""

    changes: Mapping[str, object] = field(default_factory=dict)
    """Fields of the base's config that the adapter sets."""

    untied: bool = False
    """Whether the merged model's head was parted from its embedding."""

    initial: Path | None = None
    """Folder of the initial adapter, if it must be subtracted from the base."""

    originals: Mapping[str, Load] | None = None
    """Set where `base` is the merged folder, for a base that cannot be loaded: the base's own
    values of the tensors that the merge changed."""

    places: Mapping[str, Sequence[tuple[str, Matrix | None]]] = field(default_factory=dict)
    """Tensor of the base's files -> names of the parameter that it is a part of, and which part."""

    scales: Mapping[str, Load] = field(default_factory=dict)
    """Module -> factors of its outputs, which apply before the adapter."""


def reference_answers(
    reference: Reference, inputs: Sequence[torch.Tensor]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the answers of base + adapter, and those of PEFT's merged weights after rounding.

    Raise SetupError if PEFT cannot load or run them.
    """
    try:
        with quiet_transformers():
            model = _with_adapter(_load_base(reference), reference)
            # First, because rounding changes the model in place.
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
            f"PEFT cannot run {reference.adapter} on {reference.base}, so the merge cannot be "
            f"verified: {text}; --no-verify merges without"
        ) from error


def _load_base(reference: Reference) -> Any:
    config = AutoConfig.from_pretrained(reference.base, local_files_only=True)
    for name, value in reference.changes.items():
        # The base is loaded with its own vocabulary, which grows below.
        if name != "vocab_size":
            setattr(config.get_text_config(), name, value)

    model = model_class(config).from_pretrained(
        reference.base, config=config, dtype=torch.float32, local_files_only=True
    )

    # A merged folder has the adapter's vocabulary already.
    rows = reference.changes.get("vocab_size")
    if isinstance(rows, int) and reference.originals is None:
        model.resize_token_embeddings(rows, mean_resizing=False)

    names = _module_names(model)
    with torch.no_grad():
        for name, load in (reference.originals or {}).items():
            _tensor(model, names, name, reference).copy_(torch.from_numpy(load()))
        for module, load in reference.scales.items():
            factors = torch.from_numpy(load()).reshape(-1, 1)
            _parameter(model, names, f"{module}.weight").mul_(factors)
    return model.eval()


def _module_names(model: Any) -> ModuleNames:
    return ModuleNames.of(name for name, _ in model.named_modules())


def _parameter(model: Any, names: ModuleNames, tensor: str) -> Any:
    """Return the parameter that a tensor of the base's files is, which may have another layout."""
    found = names.find(tensor)
    if found is None or len(found.modules) != 1:
        return model.get_parameter(tensor)
    return model.get_parameter(f"{found.modules[0]}.{found.rest}")


def _tensor(model: Any, names: ModuleNames, name: str, reference: Reference) -> torch.Tensor:
    """Return the part of a model's memory that a tensor of the files is loaded into.

    Raise AttributeError if there is none.
    """
    for parameter, part in reference.places.get(name, ()):
        with suppress(AttributeError):
            whole: torch.Tensor = model.get_parameter(parameter)
            return whole if part is None else whole[part.expert, part.first : part.last]
    tensor: torch.Tensor = _parameter(model, names, name)
    return tensor


def _with_adapter(base: Any, reference: Reference) -> Any:
    if reference.initial is not None:
        base = _residual(base, reference.initial)
    return _loaded(base, reference.adapter).eval()


def _loaded(base: Any, folder: Path) -> Any:
    """Return `base` with the adapter in `folder`, whose modules may be named by another layout."""
    config = _config(folder)
    tensors = load_file(folder / WEIGHTS_FILE)
    layout = layout_in(_module_names(base), tensors, config.to_dict())
    if layout is None:
        return PeftModel.from_pretrained(base, folder, config=config)

    # PEFT would leave out, without a word, what this class does not call by that name.
    for field_name, value in layout.config.items():
        setattr(config, field_name, value)
    model = get_peft_model(base, config)
    renamed = {layout.names.get(name, name): tensor for name, tensor in tensors.items()}
    set_peft_model_state_dict(model, renamed)
    return model


@torch.no_grad()
def _residual(base: Any, initial: Path) -> Any:
    """Subtract the initial adapter from `base`: W - s B0 A0.

    The formula is the same for an adapter that is a DoRA.
    """
    model = _loaded(base, initial)
    for module in model.modules():
        if isinstance(module, LoraLayer):
            weight = module.get_base_layer().weight
            weight.sub_(module.get_delta_weight("default").to(weight.dtype))
    return model.unload()


def _config(folder: Path) -> Any:
    config = peft_config(folder)
    if isinstance(getattr(config, "init_lora_weights", None), str):
        # The weights are loaded; initialising them again would change the base a second time.
        config.init_lora_weights = True
    return config


@torch.no_grad()
def _rounded(model: Any, reference: Reference) -> Any:
    """Merge with PEFT, in place, and round every parameter to the dtype of the merged model."""
    if reference.untied or _is_merged_twice(model):
        _untie(model)

    merged = model.merge_and_unload()
    for parameter in merged.parameters():
        parameter.copy_(parameter.to(reference.dtype))
    return merged


def _is_merged_twice(model: Any) -> bool:
    """Return whether PEFT has layers on both ends of one tied matrix (`ensure_weight_tying`).

    Each of them would add its update to the matrix.
    """
    return all(end is not _innermost(end) for end in _ends(model))


def _untie(model: Any) -> None:
    """Put a copy of a tied weight into the head, because PEFT merges the embedding in place."""
    inner = model.get_base_model()
    head, embedding = map(_innermost, _ends(model))
    if head.weight is embedding.weight:
        head.weight = torch.nn.Parameter(head.weight.clone(), requires_grad=False)

    inner.config.get_text_config().tie_word_embeddings = False
    inner.config.tie_word_embeddings = False


def _ends(model: Any) -> tuple[Any, Any]:
    """Return the head and the embedding."""
    inner = model.get_base_model()
    return inner.get_output_embeddings(), inner.get_input_embeddings()


def _innermost(module: Any) -> Any:
    """Return the module inside all of PEFT's wrappers."""
    while True:
        inner = getattr(module, "base_layer", None)
        if inner is None:
            inner = getattr(module, "original_module", None)
        if inner is None:
            return module
        module = inner
