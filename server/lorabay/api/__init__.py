"""The HTTP side of a server: who calls, what they ask, and every response that they get."""

from __future__ import annotations
