"""The shapes that adapters are checked against: the linear and embedding modules of a base.

They come from the config and the headers; no tensor byte is read. This module knows nothing of
adapters.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.base.context import Context
from lorabay.base.files import BaseFiles
from lorabay.base.model_names import aliases
from lorabay.base.module_names import ModuleNames
from lorabay.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lorabay.base.tensors import Stored

Shape = tuple[int, int]

HEAD = "lm_head"
"""Last part of the name of the module that turns hidden states into logits."""

_EMBEDDINGS = frozenset({"embed_tokens", "tok_embeddings", "word_embeddings", "wte"})
_PLAIN_DTYPES = frozenset({"BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"})

_PACKED_SUFFIXES = (".qweight", ".weight_packed", ".W_q", "._weight_qdata")
"""Ends of the tensors that hold a module's weight in quantised formats (GPTQ and AWQ,
compressed-tensors, HQQ, torchao); their shapes are packed."""

# Only the language model's: towers for images and sound count their layers on their own.
_LAYER = re.compile(r"(?:^|\.)(?:model|language_model)\.layers\.(\d+)\.")
_PREDICTION = re.compile(r"(?:^|\.)mtp(?:_\w+)?\.")

# transformers keeps these layers of these models in a class of its own, as (inputs, outputs).
_CONV1D = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})
_CONV1D_MODELS = {
    "gpt2": "GPT2",
    "openai-gpt": "OpenAIGPT",
    "imagegpt": "ImageGPT",
    "decision_transformer": "DecisionTransformer",
}
"""`model_type` -> begin of the names of its classes."""


@dataclass(frozen=True)
class BaseShapes:
    """The modules of a base with their shapes, and the names that the base goes by.

    `shapes` maps a module to (outputs, inputs), or to None if its weight is stored packed. An
    embedding counts as (vocabulary, hidden) and a Conv1D as (inputs, outputs), as they are stored.
    `tensors` has the shape of every stored tensor by its full name, biases and norms included.
    `tied` is whether embedding and head share one weight. `layers` is the config's number of
    layers, and `head_size` the outputs of one attention head. `packed` are modules whose shape is
    known although their weight is stored packed. `context` is how the model reads positions.
    """

    shapes: Mapping[str, Shape | None]
    names: tuple[str, ...]
    architecture: str | None
    tied: bool
    tensors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    model_type: str | None = None
    layers: int | None = None
    head_size: int | None = None
    packed: frozenset[str] = frozenset()
    context: Context = field(default_factory=Context)

    @classmethod
    def read(cls, folder: Path, *, names: tuple[str, ...] = ()) -> BaseShapes:
        """Return the shapes of a base folder. Raise SetupError if its headers cannot be read."""
        return cls.of(BaseFiles.open(folder), names=names)

    @classmethod
    def of(cls, base: BaseFiles, *, names: tuple[str, ...] = ()) -> BaseShapes:
        """Return the shapes of an opened base. Raise SetupError if it has no linear layer.

        `names` are more names of the base: a hub id, its served name.
        """
        # By name within each file: of several modules that end alike, `tails` means the last.
        stored = sorted(base.tensors.values(), key=lambda tensor: (tensor.file, tensor.name))
        shapes: dict[str, Shape | None] = {}
        for tensor in stored:
            shapes.update(_modules(tensor))
        if not shapes:
            raise SetupError(
                f"the base folder {base.folder} holds no linear layers; pass a language model in "
                "safetensors"
            )

        # A base without a head of its own uses its embedding as the head.
        embedding = next(filter(is_embedding, shapes), None)
        has_head = any(name.split(".")[-1] == HEAD for name in shapes)
        says_tied = base.config.get("tie_word_embeddings") is True
        tied = embedding is not None and (says_tied or not has_head)
        if embedding is not None and not has_head:
            shapes[HEAD] = shapes[embedding]

        own_name = base.config.get("_name_or_path")
        known = [base.folder.name, *names]
        if isinstance(own_name, str) and own_name:
            known.append(own_name)
        return cls(
            shapes=shapes,
            names=tuple(dict.fromkeys(known)),
            architecture=_architecture(base.config),
            tied=tied,
            tensors={tensor.name: tensor.shape for tensor in stored},
            model_type=model_type(base.config),
            layers=_layers(base.config),
            head_size=_head_size(base.config),
            context=Context.of(base.config),
        )

    @cached_property
    def stored_shapes(self) -> Mapping[str, Shape | None]:
        """`shapes` as they are stored: None for every packed weight."""
        return {
            module: None if module in self.packed else shape
            for module, shape in self.shapes.items()
        }

    @cached_property
    def tails(self) -> Mapping[str, str]:
        """Every end of a module's name, mapped to a module that ends so."""
        return {tail: module for module in self.shapes for tail in tails(module)}

    @cached_property
    def module_names(self) -> ModuleNames:
        """Everything that holds tensors, norms included, to be found by another layout's name.

        Also what holds them in a model alone, such as all experts of a layer.
        """
        names = (alias for tensor in self.tensors for alias in aliases(tensor))
        owners = {name.rpartition(".")[0] for name in names}
        return ModuleNames.of({*self.shapes, *owners})

    @cached_property
    def identity(self) -> str:
        """Hash that changes whenever an adapter that fitted might no longer fit."""
        facts = [sorted(self.shapes.items()), sorted(self.names), self.model_type, self.layers]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def is_unused(self, module: str) -> bool:
        """Return whether the files hold `module` but no model of transformers has it.

        These are the modules that predict several tokens at once. They lie beside the model's
        layers, or after the last of them.
        """
        layer = _LAYER.search(module)
        if layer is not None and self.layers is not None and int(layer[1]) >= self.layers:
            return True
        return _PREDICTION.search(module) is not None

    def is_conv1d(self, module: str) -> bool:
        """Return whether the base stores the weight of `module` as (inputs, outputs), as GPT-2."""
        return is_conv1d(module, self.model_type)

    def layer_shape(self, module: str) -> Shape | None:
        """Return (outputs, inputs) of a linear layer, however its weight is stored."""
        shape = self.shapes[module]
        if shape is not None and self.is_conv1d(module):
            return shape[::-1]
        return shape

    @property
    def layer_parameters(self) -> int | None:
        """Parameters of the matrices through which every token goes, embedding and head not
        counted; None if the shape of some is not known.
        """
        matrices = [
            shape
            for module, shape in self.shapes.items()
            if module != HEAD and not is_embedding(module)
        ]
        if None in matrices:
            return None
        return sum(math.prod(shape) for shape in matrices if shape is not None)

    def is_transposed(self, module: str) -> bool:
        """Return whether PEFT's factors of `module` make the transpose of its stored weight."""
        return is_embedding(module) or self.is_conv1d(module)


def tails(module: str) -> Iterator[str]:
    """Yield `a.b.c`, `b.c` and `c`, the names by which a config may mean the module `a.b.c`."""
    while module:
        yield module
        module = module.partition(".")[2]


def is_embedding(module: str) -> bool:
    """Return whether LoRA on `module` is stored as lora_embedding_A and lora_embedding_B."""
    return module.rpartition(".")[2] in _EMBEDDINGS


def is_conv1d(module: str, model_type: str | None) -> bool:
    """Return whether models of this type store the weight of `module` as (inputs, outputs)."""
    return model_type in _CONV1D_MODELS and module.rpartition(".")[2] in _CONV1D


def model_type(config: Mapping[str, object]) -> str | None:
    """Return the config's model type.

    If it has none, the architecture names the types that store Conv1D layers.
    """
    # Older configs may lack the field.
    stated = config.get("model_type")
    if isinstance(stated, str):
        return stated
    name = _architecture(config) or ""
    return next((kind for kind, start in _CONV1D_MODELS.items() if name.startswith(start)), None)


def _layers(config: Mapping[str, object]) -> int | None:
    return _count(config, "num_hidden_layers")


def _head_size(config: Mapping[str, object]) -> int | None:
    """Return the config's head size, or what transformers computes where it has none."""
    stated = _count(config, "head_dim")
    hidden, heads = _count(config, "hidden_size"), _count(config, "num_attention_heads")
    if stated is None and hidden and heads:
        return hidden // heads
    return stated


def _count(config: Mapping[str, object], field: str) -> int | None:
    """Return a whole number of the config of the language model."""
    for fields in (config.get("text_config"), config):
        if isinstance(fields, dict):
            count = fields.get(field)
            if type(count) is int:
                return count
    return None


def _architecture(config: Mapping[str, object]) -> str | None:
    match config.get("architectures"):
        case [str() as first, *_]:
            return first
    return None


def _modules(tensor: Stored) -> Iterator[tuple[str, Shape | None]]:
    """Yield the module whose weight a tensor holds, with its shape, if there is one."""
    for suffix in _PACKED_SUFFIXES:
        if tensor.name.endswith(suffix):
            yield tensor.name.removesuffix(suffix), None

    if tensor.name.endswith(".weight") and len(tensor.shape) == 2:
        plain = tensor.dtype in _PLAIN_DTYPES
        shape = (tensor.shape[0], tensor.shape[1]) if plain else None
        yield tensor.name.removesuffix(".weight"), shape
