"""Bases whose attention vLLM 0.32 computes wrongly on a CPU: those of latent attention.

DeepSeek-V2 and its kin keep keys and values of a token as one short vector. vLLM's kernel for it on
a CPU gives answers that are off by one in the log-probability, also without adapters, and so does
what `VLLM_MLA_DISABLE=1` puts in its place. Such a base is refused before anything starts. Knows
nothing of devices.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lorabay.base.files import CONFIG, read_config
from lorabay.errors import SetupError

_FIELDS = ("kv_lora_rank", "compress_ratios")
"""Fields that a config has for latent attention alone: those that vLLM tells it by."""


def refuse_latent_attention(folder: Path) -> None:
    """Raise SetupError if the base in `folder` has latent attention.

    A folder without a config is left to whoever reads it next.
    """
    if not (folder / CONFIG).is_file():
        return

    for config in _configs(read_config(folder)):
        field = next((name for name in _FIELDS if config.get(name) is not None), None)
        if field is not None:
            raise SetupError(
                f"the base {folder.name} has latent attention ({field} in its {CONFIG}), which "
                "vLLM 0.32 computes wrongly on a CPU; serve it on a GPU, or pass another --base"
            )


def _configs(config: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    """Yield a config, and those of its parts: a model with images has one for its text."""
    yield config
    for part in config.values():
        if isinstance(part, dict):
            yield part
