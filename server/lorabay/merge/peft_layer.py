"""Formats without a formula of ours: PEFT's own layers merge them, one weight in memory at a time.

The modules of these layers are laid out as PEFT expects them, on weights that have a shape but take
no memory; PEFT loads their part of the adapter into them once. A weight is then lent to its layer,
merged there, and taken away again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from lorabay.base.shapes import is_conv1d, is_embedding
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.algebra.updates import PeftLayer

# Fields about other parts of the model than these layers.
_WITHOUT = (
    "exclude_modules", "layers_pattern", "layers_to_transform", "modules_to_save", "target_parameters",
    "trainable_token_indices",
)  # fmt: skip


class PeftLayers:
    """The layers of one adapter, loaded. Not thread-safe."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def load(
        cls, folder: Path, layers: Mapping[PeftLayer, tuple[int, ...]], model_type: str | None
    ) -> Self:
        """`layers` are those of the adapter in `folder`, with the shapes of the weights that they
        change in a model of that type.

        Raises SetupError where PEFT does not know them.
        """
        return cls(_loaded(folder, layers, model_type))

    def merged(self, update: PeftLayer, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the layer makes of `weight`. Raises SetupError where PEFT cannot say."""
        import torch

        layer = self._model.get_submodule(update.module)
        base = layer.base_layer
        empty = base.weight.data
        base.weight.data = torch.from_numpy(weight).clone()
        try:
            with torch.no_grad():
                layer.merge(safe_merge=False)
            merged: NDArray[np.float32] = base.weight.data.float().numpy().copy()
        except (RuntimeError, ValueError, NotImplementedError, AttributeError, KeyError) as error:
            raise SetupError(
                f"PEFT cannot merge its layer {update.module}: {_line(error)}"
            ) from error
        finally:
            base.weight.data = empty
        return merged


def _loaded(
    folder: Path, layers: Mapping[PeftLayer, tuple[int, ...]], model_type: str | None
) -> Any:
    """The modules of these layers, and nothing else of the model, with PEFT's layers around
    them.
    """
    from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
    from safetensors import safe_open

    from lorabay.base.transformers_quiet import quiet_transformers

    shapes = {layer.module: shape for layer, shape in layers.items()}
    names = {name for layer in layers for name in (*layer.tensors, *layer.shared)}
    try:
        config = PeftConfig.from_pretrained(folder)
        config.task_type = None
        config.target_modules = list(shapes)
        for field in _WITHOUT:
            if hasattr(config, field):
                setattr(config, field, None)
        with quiet_transformers(), safe_open(folder / WEIGHTS_FILE, "pt") as file:
            model = get_peft_model(_bare(shapes, model_type), config)
            outcome = set_peft_model_state_dict(
                model, {name: file.get_tensor(name) for name in sorted(names)}
            )
    except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise SetupError(f"PEFT cannot load the adapter in {folder}: {_line(error)}") from error
    if outcome.unexpected_keys:
        raise SetupError(
            f"PEFT does not know the adapter's tensors {', '.join(outcome.unexpected_keys[:3])}"
        )
    return model.eval().get_base_model()


def _bare(shapes: Mapping[str, tuple[int, ...]], model_type: str | None) -> Any:
    """A tree of modules with these names whose weights take no memory."""
    import torch

    root = torch.nn.Module()
    for name, shape in shapes.items():
        *path, leaf = name.split(".")
        parent = root
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, torch.nn.Module())
            parent = parent.get_submodule(part)
        parent.add_module(leaf, _module(name, shape, model_type))
    return root


def _module(name: str, shape: tuple[int, ...], model_type: str | None) -> Any:
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
    module.weight = torch.nn.Parameter(torch.zeros(1).expand(shape), requires_grad=False)
    return module


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
