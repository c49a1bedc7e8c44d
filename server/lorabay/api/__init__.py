"""The HTTP side of a server: who calls, what they ask, and every response that they get.

Knows nothing of vLLM or of folders.
"""

from __future__ import annotations
