"""lorabay: one frozen base model in vLLM, many named LoRA adapters, one OpenAI-compatible
server.
"""

from __future__ import annotations
