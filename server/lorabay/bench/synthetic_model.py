"""A llama of random weights in several files, of any size, written in seconds: what merges are
measured on.

What it answers is noise; what it costs to read, change and write is what a model of its size costs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lorabay.files.safetensors_header import ITEM_BYTES, TensorInfo
from lorabay.files.tensors import safetensors_header

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE_BYTES = 500_000_000
_SMALL_BYTES = 200_000_000
_BLOCK = 1 << 22


@dataclass(frozen=True, slots=True)
class RandomLlama:
    """The shape of a model; `about` finds one of a size."""

    hidden: int
    inner: int
    vocabulary: int
    layers: int

    @classmethod
    def about(cls, size_bytes: int) -> RandomLlama:
        """As many layers as make up the size, at least one; below 200 MB, narrower ones."""
        shape = (
            cls(2048, 5632, 32_000, 1) if size_bytes >= _SMALL_BYTES else cls(256, 704, 2_048, 1)
        )
        bare = cls(shape.hidden, shape.inner, shape.vocabulary, 0)
        layer = shape.size_bytes - bare.size_bytes
        return cls(
            shape.hidden,
            shape.inner,
            shape.vocabulary,
            max(1, round((size_bytes - bare.size_bytes) / layer)),
        )

    @property
    def size_bytes(self) -> int:
        return sum(ITEM_BYTES["BF16"] * int(np.prod(shape)) for _, shape in self.tensors())

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every tensor, in the order of the files."""
        hidden, inner, narrow = self.hidden, self.inner, self.hidden // 4
        yield "model.embed_tokens.weight", (self.vocabulary, hidden)
        for layer in range(self.layers):
            prefix = f"model.layers.{layer}"
            for part, rows in (
                ("q_proj", hidden),
                ("k_proj", narrow),
                ("v_proj", narrow),
                ("o_proj", hidden),
            ):
                yield f"{prefix}.self_attn.{part}.weight", (rows, hidden)
            yield f"{prefix}.mlp.gate_proj.weight", (inner, hidden)
            yield f"{prefix}.mlp.up_proj.weight", (inner, hidden)
            yield f"{prefix}.mlp.down_proj.weight", (hidden, inner)
            yield f"{prefix}.input_layernorm.weight", (hidden,)
            yield f"{prefix}.post_attention_layernorm.weight", (hidden,)
        yield "model.norm.weight", (hidden,)
        yield "lm_head.weight", (self.vocabulary, hidden)

    def write(self, folder: Path) -> None:
        """Make `folder` with the model."""
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
        files: list[list[TensorInfo]] = [[]]
        for name, shape in self.tensors():
            start = files[-1][-1].end if files[-1] else 0
            size = ITEM_BYTES["BF16"] * int(np.prod(shape))
            if start + size > _FILE_BYTES and files[-1]:
                files.append([])
                start = 0
            files[-1].append(TensorInfo(name, "BF16", shape, start, start + size))
        return files

    def _config(self) -> dict[str, object]:
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "_name_or_path": "random-llama",
            "hidden_size": self.hidden,
            "intermediate_size": self.inner,
            "num_hidden_layers": self.layers,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": 2048,
            "rms_norm_eps": 1e-5,
            "tie_word_embeddings": False,
            "dtype": "bfloat16",
        }


def _write(path: Path, tensors: list[TensorInfo], seed: int) -> None:
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(safetensors_header(tensors))
        left = tensors[-1].end // 2
        while left:
            bits = random.integers(0, 1 << 16, min(left, _BLOCK), np.uint16)
            # Random signs and digits around a fixed exponent: numbers of a size from 1/128 to 1/32.
            file.write(((bits & 0x80FF) | 0x3C00).data)
            left -= bits.size
