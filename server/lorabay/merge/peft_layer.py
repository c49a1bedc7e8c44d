"""PEFT's own layers, for formats that this program has no formula for. One merges at a time.

The modules of these layers are laid out as PEFT expects them, on weights that have a shape but take
no memory. PEFT loads their part of the adapter into them once. A weight is then lent to its layer,
merged there, and taken away again. Loads torch and PEFT only to do so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from lorabay.base.module_names import ModuleNames
from lorabay.base.shapes import is_conv1d, is_embedding
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE
from lorabay.formats.module_names import layout_in
from lorabay.merge.verify.peft_config import peft_config

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.algebra.updates import PeftLayer

_OTHER_PARTS = (
    "exclude_modules",
    "layers_pattern",
    "layers_to_transform",
    "modules_to_save",
    "target_parameters",
    "trainable_token_indices",
)
"""Fields of a config that are about other parts of the model than these layers."""


class PeftLayers:
    """The layers of one adapter, loaded. Not thread-safe."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def load(
        cls, folder: Path, layers: Mapping[PeftLayer, tuple[int, ...]], model_type: str | None
    ) -> Self:
        """Load `layers` of the adapter in `folder`, and nothing else of it.

        Each comes with the shape of the weight that it changes in a model of `model_type`. Raise
        SetupError if PEFT does not know them.
        """
        from peft import get_peft_model, set_peft_model_state_dict
        from safetensors import safe_open

        from lorabay.base.transformers_quiet import quiet_transformers

        shapes = {layer.module: shape for layer, shape in layers.items()}
        names = {name for layer in layers for name in (*layer.tensors, *layer.shared)}

        try:
            config = peft_config(folder)
            config.task_type = None
            # Outside of these layers there is no model here that the fields could be about.
            for field in _OTHER_PARTS:
                if hasattr(config, field):
                    setattr(config, field, None)

            # The file may name the modules by another layout.
            layout = layout_in(ModuleNames.of(shapes), names, config.to_dict())
            new_names = {} if layout is None else layout.names
            for field, value in ({} if layout is None else layout.config).items():
                setattr(config, field, value)
            config.target_modules = list(shapes)

            with quiet_transformers(), safe_open(folder / WEIGHTS_FILE, "pt") as file:
                model = get_peft_model(_bare_modules(shapes, model_type), config)
                tensors = {
                    new_names.get(name, name): file.get_tensor(name) for name in sorted(names)
                }
                outcome = set_peft_model_state_dict(model, tensors)
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SetupError(
                f"PEFT cannot load the adapter in {folder}: {_one_line(error)}"
            ) from error

        if outcome.unexpected_keys:
            unknown = ", ".join(outcome.unexpected_keys[:3])
            raise SetupError(f"PEFT does not know the adapter's tensors {unknown}")
        return cls(model.eval().get_base_model())

    def merged(self, update: PeftLayer, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return `weight` after its layer has merged into it. Every layer merges once.

        Raise SetupError if PEFT cannot merge it.
        """
        import torch

        layer = self._model.get_submodule(update.module)
        base = layer.base_layer
        empty = base.weight.data
        # A copy, because PEFT merges in place.
        base.weight.data = torch.from_numpy(weight).clone()
        try:
            with torch.no_grad():
                layer.merge(safe_merge=False)
            merged: NDArray[np.float32] = base.weight.data.float().numpy().copy()
        except (RuntimeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
            raise SetupError(
                f"PEFT cannot merge its layer {update.module}: {_one_line(error)}"
            ) from error
        finally:
            base.weight.data = empty
        return merged


def _bare_modules(shapes: Mapping[str, tuple[int, ...]], model_type: str | None) -> Any:
    """Return a tree of modules with these names, whose weights take no memory."""
    import torch

    root = torch.nn.Module()
    for name, shape in shapes.items():
        *path, leaf = name.split(".")
        parent = root
        for child in path:
            if not hasattr(parent, child):
                parent.add_module(child, torch.nn.Module())
            parent = parent.get_submodule(child)
        parent.add_module(leaf, _bare_module(name, shape, model_type))
    return root


def _bare_module(name: str, shape: tuple[int, ...], model_type: str | None) -> Any:
    import torch
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        if is_embedding(name):
            module: Any = torch.nn.Embedding(shape[0], shape[1])
        elif is_conv1d(name, model_type):
            module = Conv1D(shape[1], shape[0])
            del module.bias
            module.register_parameter("bias", None)
        else:
            module = torch.nn.Linear(shape[1], shape[0], bias=False)

    # One number, seen as a matrix: PEFT's layers need a weight that is not on the meta device.
    module.weight = torch.nn.Parameter(torch.zeros(1).expand(shape), requires_grad=False)
    return module


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
