"""The engine behind its protocol; the only ring that imports vLLM, and only when an engine is
made.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.base.find import BaseFolder
    from lorabay.serving.engine import Engine


DORA_VARIABLE = "LORABAY_DORA"
"""Tells the plugin, in whichever process vLLM starts it, to scale outputs on a device whose graphs
must hold that.
"""


def scales_outputs(
    environ: MutableMapping[str, str], options: Mapping[str, Any], *, dora: bool
) -> bool:
    """Say whether the engine will scale the base's outputs, which DoRA needs, and have the plugin
    do so if asked to.

    Layers of fully sharded LoRA compute their updates by themselves, and never scale.
    """
    from vllm.platforms import current_platform

    if options.get("fully_sharded_loras"):
        return False
    if dora:
        environ[DORA_VARIABLE] = "1"
    return dora or bool(current_platform.is_cpu())


def create_engine(base: BaseFolder, options: Mapping[str, Any]) -> Engine:
    """Make the engine for a base; imports vLLM, which takes seconds. Raises UsageError for options
    it does not take.
    """
    from lorabay.serving.vllm_engine import VllmEngine

    return VllmEngine(str(base.path), base.served_name, options)
