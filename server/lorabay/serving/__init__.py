"""The engine behind its protocol; the only ring that imports vLLM, and only when an engine is made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lorabay.serving.base_folder import BaseFolder
    from lorabay.serving.engine import Engine


def create_engine(base: BaseFolder, options: Mapping[str, Any]) -> Engine:
    """Make the engine for a base; imports vLLM, which takes seconds. Raises UsageError for options it does not take."""
    from lorabay.serving.vllm_engine import VllmEngine

    return VllmEngine(str(base.path), base.served_name, options)
