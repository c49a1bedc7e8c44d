"""Whether an engine scales the base's outputs, which serving DoRA needs.

Scaling is the plugin's work, in vLLM's own processes; an environment variable reaches it there.
Imports vLLM only when asked.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

DORA_VARIABLE = "LORABAY_DORA"
"""Set to 1, it makes the plugin scale outputs on devices whose compiled graphs must hold that."""


def scales_outputs(
    environ: MutableMapping[str, str], options: Mapping[str, Any], *, dora: bool
) -> bool:
    """Return whether the engine will scale outputs; sets `DORA_VARIABLE` if `dora` asks for it.

    A CPU always scales. Layers of fully sharded LoRA compute their updates themselves, and never
    scale.
    """
    from vllm.platforms import current_platform

    if options.get("fully_sharded_loras"):
        return False
    if dora:
        environ[DORA_VARIABLE] = "1"
    return dora or bool(current_platform.is_cpu())
