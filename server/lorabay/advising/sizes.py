"""Sizes of a base and of adapters, from their folders: files and headers, no weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lorabay.base.context import Context
from lorabay.base.files import BaseFiles
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import WEIGHTS_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NUMBER_BYTES = 2
"""Bytes of one number in the key-value cache: 16 bits, as engines keep them by default."""

LONGEST_CONTEXT = 8192
"""Longest sequence that is planned for by default; bases that allow more are often served so."""


@dataclass(frozen=True, slots=True)
class BaseSizes:
    """Bytes of the weights, bytes of one token in the cache, and the context in tokens."""

    weights: int
    key_value: int
    context: int


EIGHT_BILLION = BaseSizes(weights=16_060_522_496, key_value=131_072, context=LONGEST_CONTEXT)
"""Llama-3-8B in bfloat16: 32 layers with 8 key-value heads of 128."""


def base_sizes(folder: Path, key_value: int | None = None) -> BaseSizes:
    """Return the sizes of a base, with the given bytes of a token if there are any.

    Raise SetupError if its files or its config do not say them.
    """
    base = BaseFiles.open(folder)
    return BaseSizes(
        weights=sum(size for _, size, _ in base.states),
        key_value=_key_value(base.config, folder) if key_value is None else key_value,
        context=min(LONGEST_CONTEXT, Context.of(base.config).length or LONGEST_CONTEXT),
    )


def adapter_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of the weights of each adapter in a folder of adapters, by name.

    Raise SetupError if the folder cannot be read.
    """
    try:
        found = {
            one.name: (one / WEIGHTS_FILE).stat().st_size
            for one in sorted(folder.iterdir())
            if (one / WEIGHTS_FILE).is_file() and not one.name.startswith(".")
        }
    except OSError as error:
        raise SetupError(f"cannot read the adapters in {folder}: {error.strerror}") from error
    return found


def _key_value(config: Mapping[str, object], folder: Path) -> int:
    """Return 2 * layers * key-value heads * head size * bytes of a number."""
    text = config.get("text_config")
    fields = text if isinstance(text, dict) else config
    layers, heads, width = (
        fields.get(name) for name in ("num_hidden_layers", "num_attention_heads", "hidden_size")
    )
    key_heads = fields.get("num_key_value_heads") or heads
    match (layers, heads, width, key_heads):
        case (int(), int(), int(), int()) if heads:
            head = fields.get("head_dim")
            size = head if isinstance(head, int) else width // heads
            return 2 * layers * key_heads * size * NUMBER_BYTES
    raise SetupError(
        f"the config in {folder} does not say how large its cache is: give --key-value-kib"
    )
