"""A llama of random weights in several files, of any size, written in seconds.

Its answers are noise; reading, changing and writing it costs as much as for any model of its size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lorabay.files.safetensors_header import ITEM_BYTES, TensorInfo, header_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE_BYTES = 500_000_000
_SMALL_BYTES = 200_000_000
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class RandomLlama:
    """The shape of a model; `about` returns one of a size."""

    hidden: int
    inner: int
    vocabulary: int
    layers: int
    heads: int = 16
    key_heads: int = 4

    @classmethod
    def about(cls, size_bytes: int) -> RandomLlama:
        """Return a model of as many layers as make up the size, at least one.

        Below 200 MB the layers are narrower.
        """
        wide = size_bytes >= _SMALL_BYTES
        one = cls(2048, 5632, 32_000, 1) if wide else cls(256, 704, 2_048, 1)
        none = replace(one, layers=0)

        layer_bytes = one.size_bytes - none.size_bytes
        layers = round((size_bytes - none.size_bytes) / layer_bytes)
        return replace(one, layers=max(1, layers))

    @property
    def size_bytes(self) -> int:
        return sum(_bytes_of(shape) for _, shape in self.tensors())

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of every tensor, in the order of the files."""
        hidden, inner = self.hidden, self.inner
        narrow = hidden // self.heads * self.key_heads

        yield "model.embed_tokens.weight", (self.vocabulary, hidden)
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            yield f"{prefix}.self_attn.q_proj.weight", (hidden, hidden)
            yield f"{prefix}.self_attn.k_proj.weight", (narrow, hidden)
            yield f"{prefix}.self_attn.v_proj.weight", (narrow, hidden)
            yield f"{prefix}.self_attn.o_proj.weight", (hidden, hidden)
            yield f"{prefix}.mlp.gate_proj.weight", (inner, hidden)
            yield f"{prefix}.mlp.up_proj.weight", (inner, hidden)
            yield f"{prefix}.mlp.down_proj.weight", (hidden, inner)
            yield f"{prefix}.input_layernorm.weight", (hidden,)
            yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        yield "model.norm.weight", (hidden,)
        yield "lm_head.weight", (self.vocabulary, hidden)

    def write(self, folder: Path) -> None:
        """Make `folder` with the model; raises FileExistsError if it is there."""
        folder.mkdir(parents=True)

        files = self._files()
        weight_map: dict[str, str] = {}
        for number, tensors in enumerate(files, 1):
            name = f"model-{number:05}-of-{len(files):05}.safetensors"
            weight_map |= dict.fromkeys((tensor.name for tensor in tensors), name)
            _write(folder / name, tensors, number)

        index = {"metadata": {"total_size": self.size_bytes}, "weight_map": weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        (folder / "config.json").write_text(json.dumps(self._config()))

    def _files(self) -> list[list[TensorInfo]]:
        """Return the tensors of each file; a file holds 500 MB, or one larger tensor."""
        files: list[list[TensorInfo]] = [[]]
        start = 0
        for name, shape in self.tensors():
            size = _bytes_of(shape)
            # A tensor that is larger than a file has one of its own.
            if files[-1] and start + size > _FILE_BYTES:
                files.append([])
                start = 0
            files[-1].append(TensorInfo(name, "BF16", shape, start, start + size))
            start += size
        return files

    def _config(self) -> dict[str, object]:
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "_name_or_path": "random-llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.key_heads,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
        }


def _bytes_of(shape: tuple[int, ...]) -> int:
    return ITEM_BYTES["BF16"] * int(np.prod(shape))


def _write(path: Path, tensors: list[TensorInfo], seed: int) -> None:
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(header_bytes(tensors))

        left = tensors[-1].end // ITEM_BYTES["BF16"]
        while left:
            bits = rng.integers(0, 1 << 16, min(left, _BLOCK), np.uint16)
            # Random signs and digits around a fixed exponent: numbers of a size from 1/128 to 1/32.
            file.write(((bits & 0x80FF) | 0x3C00).data)
            left -= bits.size
