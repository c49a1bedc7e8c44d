"""When vLLM captures a CUDA graph for each number of adapters, and for how many rows.

A graph launches its LoRA kernels for every slot that it was captured with; empty ones end at once,
and their launches cost time in each step nevertheless. With `specialize_active_lora` there is a
graph for 1, 2, 4 ... adapters, which the plugin makes right (`device.adapter_counts`). That is
three times as many graphs, so there are a third as many sizes of batches: capturing takes as long
as before, and a batch is filled up to the next size with rows that nobody asked for. They cost
little where the weights are what is read. Knows nothing of settings or of devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PAYS_FROM = 8
"""Slots from which it pays: below, a batch has few empty ones."""

CAPTURE_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 256, 320, 384, 512)
"""Rows that graphs are captured for: vLLM's own have 51 sizes up to 512."""

_GRAPHS = frozenset({
    "compilation_config",
    "cudagraph_capture_sizes",
    "enforce_eager",
    "max_cudagraph_capture_size",
    "optimization_level",
    "performance_mode",
    "specialize_active_lora",
    "spec_method",
    "spec_model",
    "spec_tokens",
    "speculative_config",
})  # fmt: skip
"""Options by which users choose graphs themselves, or whose graphs need sizes of their own."""


def graph_options(slots: int, engine: Mapping[str, Any]) -> dict[str, Any]:
    """Return vLLM's options for graphs of an engine on a GPU, beside the user's own in `engine`.

    Empty where vLLM's own choice is as good, or a user has chosen.
    """
    if slots < PAYS_FROM or _GRAPHS & engine.keys():
        return {}

    sizes = [size for size in CAPTURE_SIZES if size <= _largest_batch(engine)]
    return {"specialize_active_lora": True, "cudagraph_capture_sizes": sizes}


def _largest_batch(engine: Mapping[str, Any]) -> int:
    """Return the rows up to which vLLM captures: twice the requests that may run at once."""
    requests = engine.get("max_num_seqs")
    # What is no number vLLM refuses itself.
    return 2 * requests if isinstance(requests, int) and requests > 0 else CAPTURE_SIZES[-1]
