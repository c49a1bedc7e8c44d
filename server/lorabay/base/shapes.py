"""What adapters are checked against: the linear and embedding modules of the base and their shapes.

Read from the base folder's config and safetensors headers; no tensor byte is read. Knows nothing of
adapters.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from lorabay.errors import SetupError
from lorabay.files.safetensors_header import read_header
from lorabay.reasons import Rejected, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lorabay.files.safetensors_header import TensorInfo

Shape = tuple[int, int]

_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_HEADER_BYTES = 100 << 20  # the format's own limit
_PLAIN_DTYPES = frozenset({"BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"})
# Tensor names that stand for a module's weight in the quantised formats; their shapes are packed.
_PACKED_SUFFIXES = (".qweight", ".weight_packed")
_HEAD = "lm_head"
_EMBEDDINGS = frozenset({"embed_tokens", "tok_embeddings", "word_embeddings", "wte"})
# Of the language model; towers for images and sound have layers of their own number.
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
"""`model_type` -> how the names of its classes begin."""


@dataclass(frozen=True)
class BaseShapes:
    """Module name -> (outputs, inputs), or None where the weight is stored packed and its shape
    cannot be known.

    An embedding counts as (vocabulary, hidden) and a Conv1D as (inputs, outputs), as they are
    stored. `tensors` has the shape of every stored tensor by its full name, biases and norms
    included. `layers` is the config's number of them.
    """

    shapes: Mapping[str, Shape | None]
    names: tuple[str, ...]
    architecture: str | None
    tied: bool
    tensors: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    model_type: str | None = None
    layers: int | None = None

    @classmethod
    def read(cls, folder: Path, *, names: tuple[str, ...] = ()) -> BaseShapes:
        """`names`: what the base is also known as (a hub id, its served name). Raises SetupError
        without weights.
        """
        config = _read_json(folder / "config.json")
        shapes: dict[str, Shape | None] = {}
        stored: dict[str, tuple[int, ...]] = {}
        for shard in weight_files(folder):
            tensors = read_weights_header(shard)
            shapes.update(_modules(tensors))
            stored.update((tensor.name, tensor.shape) for tensor in tensors)
        if not shapes:
            raise SetupError(
                f"the base folder {folder} holds no linear layers; pass a language model in safetensors"
            )
        embedding = next(filter(is_embedding, shapes), None)
        stored_head = any(name.split(".")[-1] == _HEAD for name in shapes)
        tied = embedding is not None and (
            not stored_head or config.get("tie_word_embeddings") is True
        )
        if embedding is not None and not stored_head:
            shapes[_HEAD] = shapes[embedding]
        own_name = config.get("_name_or_path")
        known = (
            folder.name,
            *names,
            *([own_name] if isinstance(own_name, str) and own_name else []),
        )
        names = tuple(dict.fromkeys(known))
        return cls(
            shapes, names, _architecture(config), tied, stored, model_type(config), _layers(config)
        )

    @cached_property
    def tails(self) -> Mapping[str, str]:
        """Every end of a module's name -> a module that ends so."""
        return {tail: module for module in self.shapes for tail in tails(module)}

    @cached_property
    def identity(self) -> str:
        """Changes whenever an adapter that fitted might fit no longer."""
        facts = [sorted(self.shapes.items()), sorted(self.names), self.model_type, self.layers]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def is_unused(self, module: str) -> bool:
        """Whether the files hold `module` and no model has it: what predicts several tokens at once
        lies beside, or after the last of, the layers that transformers builds."""
        layer = _LAYER.search(module)
        beyond = layer is not None and self.layers is not None and int(layer[1]) >= self.layers
        return beyond or _PREDICTION.search(module) is not None

    def is_conv1d(self, module: str) -> bool:
        """Whether the base keeps the weight of `module` as (inputs, outputs), as GPT-2 and its kin
        do.
        """
        return is_conv1d(module, self.model_type)

    def layer_shape(self, module: str) -> Shape | None:
        """(outputs, inputs) of a linear layer, however its weight is stored."""
        shape = self.shapes[module]
        return shape[::-1] if shape is not None and self.is_conv1d(module) else shape

    def is_transposed(self, module: str) -> bool:
        """Whether the factors that PEFT stores for `module` make the transpose of its stored
        weight.
        """
        return is_embedding(module) or self.is_conv1d(module)


def tails(module: str) -> Iterator[str]:
    """`a.b.c`, `b.c`, `c`: the names by which a config may mean the module `a.b.c`."""
    while module:
        yield module
        module = module.partition(".")[2]


def is_embedding(module: str) -> bool:
    """Whether LoRA on `module` is stored as lora_embedding_A and lora_embedding_B."""
    return module.rpartition(".")[2] in _EMBEDDINGS


def is_conv1d(module: str, model_type: str | None) -> bool:
    """Whether transformers' models of this type keep the weight of `module` as (inputs,
    outputs).
    """
    return model_type in _CONV1D_MODELS and module.rpartition(".")[2] in _CONV1D


def model_type(config: Mapping[str, object]) -> str | None:
    """What the config says; where it says nothing, what its architecture does for those that have a
    Conv1D.
    """
    told = config.get("model_type")
    if isinstance(told, str):
        return told
    name = _architecture(config) or ""
    return next((kind for kind, start in _CONV1D_MODELS.items() if name.startswith(start)), None)


def _layers(config: Mapping[str, object]) -> int | None:
    text = config.get("text_config")
    for fields in (text, config):
        if isinstance(fields, dict) and type(found := fields.get("num_hidden_layers")) is int:
            return found
    return None


def _architecture(config: Mapping[str, object]) -> str | None:
    match config.get("architectures"):
        case [str() as first, *_]:
            return first
    return None


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, whether or not they are there. Raises SetupError when none
    is named.
    """
    if (folder / _INDEX).is_file():
        weight_map = _read_json(folder / _INDEX).get("weight_map")
        files = set(weight_map.values()) if isinstance(weight_map, dict) else set()
        if not files or not all(isinstance(file, str) for file in files):
            raise SetupError(f"{folder / _INDEX} lists no weight files; download the base again")
        away = next(
            (file for file in files if {"/", "\0"} & set(file) or file in ("", ".", "..")), None
        )
        if away is not None:
            raise SetupError(
                f"{folder / _INDEX} names the file {quoted(away)}, which is not one of its own folder"
            )
        return [folder / file for file in sorted(files)]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    raise SetupError(
        f"the base folder {folder} has no {_SINGLE}; pass a folder that holds a model in safetensors"
    )


def read_weights_header(path: Path) -> tuple[TensorInfo, ...]:
    """The tensors of one file of a model. Raises SetupError when it cannot be read."""
    try:
        with path.open("rb") as file:
            tensors = read_header(file, max_bytes=_HEADER_BYTES)
    except OSError as error:
        raise SetupError(f"base weights {path} cannot be read: {error.strerror}") from error
    if isinstance(tensors, Rejected):
        raise SetupError(f"base weights {path} cannot be used: {tensors.reasons[0]}")
    return tensors


def _modules(tensors: tuple[TensorInfo, ...]) -> Iterator[tuple[str, Shape | None]]:
    for tensor in tensors:
        for suffix in _PACKED_SUFFIXES:
            if tensor.name.endswith(suffix):
                yield tensor.name.removesuffix(suffix), None
        if tensor.name.endswith(".weight") and len(tensor.shape) == 2:
            plain = tensor.dtype in _PLAIN_DTYPES
            yield (
                tensor.name.removesuffix(".weight"),
                (tensor.shape[0], tensor.shape[1]) if plain else None,
            )


def _read_json(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SetupError(f"{path} does not exist; pass a folder that holds a model") from None
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise SetupError(f"{path} is not valid JSON: {quoted(str(error))}") from error
    if not isinstance(content, dict):
        raise SetupError(f"{path} is not a JSON object; download the base again")
    return content
