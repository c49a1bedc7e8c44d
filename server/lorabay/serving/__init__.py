"""The engine behind its protocol, and what keeps adapters in it; the only room that imports vLLM."""

from __future__ import annotations
