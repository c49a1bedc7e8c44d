"""The engine behind its protocol, and the parts that keep adapters in it.

The only room that imports vLLM, and only when an engine is made. Knows nothing of HTTP or of keys.
"""

from __future__ import annotations
