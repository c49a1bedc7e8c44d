"""Formats without a formula of ours: PEFT's own layers merge them, one weight in memory at a time.

The adapter's modules are laid out as PEFT expects them, on weights that have a shape but take no memory; PEFT loads the
adapter into them once. A weight is then lent to its layer, merged there, and taken away again.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from lorabay.catalog.base_shapes import is_embedding
from lorabay.catalog.spec import WEIGHTS_FILE
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lorabay.catalog.updates import PeftLayer

# GPT-2 keeps these as (inputs, outputs), in a class of transformers' own.
_CONV1D = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})


class PeftLayers:
    """The layers of the adapter in `folder`; `shapes` are those of the weights that it changes. Not thread-safe."""

    def __init__(self, folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._folder = folder
        self._shapes = shapes

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
            raise SetupError(f"PEFT cannot merge its layer {update.module}: {_line(error)}") from error
        finally:
            base.weight.data = empty
        return merged

    @cached_property
    def _model(self) -> Any:
        """The adapter's modules, and nothing else of the model, with PEFT's layers around them."""
        from peft import PeftConfig, get_peft_model, set_peft_model_state_dict
        from safetensors.torch import load_file

        from lorabay.offline.quiet import quiet_transformers

        try:
            config = PeftConfig.from_pretrained(self._folder)
            config.task_type = None
            config.target_modules = list(self._shapes)
            for field in ("modules_to_save", "layers_to_transform", "layers_pattern", "exclude_modules"):
                if hasattr(config, field):
                    setattr(config, field, None)
            with quiet_transformers():
                model = get_peft_model(_bare(self._shapes), config)
                outcome = set_peft_model_state_dict(model, load_file(self._folder / WEIGHTS_FILE))
        except (OSError, RuntimeError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise SetupError(f"PEFT cannot load the adapter in {self._folder}: {_line(error)}") from error
        if outcome.unexpected_keys:
            raise SetupError(f"PEFT does not know the adapter's tensors {', '.join(outcome.unexpected_keys[:3])}")
        return model.eval().get_base_model()


def _bare(shapes: Mapping[str, tuple[int, ...]]) -> Any:
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
        parent.add_module(leaf, _module(name, shape))
    return root


def _module(name: str, shape: tuple[int, ...]) -> Any:
    import torch
    from transformers.pytorch_utils import Conv1D

    with torch.device("meta"):
        if is_embedding(name):
            module: Any = torch.nn.Embedding(shape[0], shape[1])
        elif name.rpartition(".")[2] in _CONV1D:
            module = Conv1D(shape[1], shape[0])
            del module.bias
            module.register_parameter("bias", None)
        else:
            module = torch.nn.Linear(shape[1], shape[0], bias=False)
    module.weight = torch.nn.Parameter(torch.zeros(1).expand(shape), requires_grad=False)
    return module


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
