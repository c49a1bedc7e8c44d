"""The HTTP face: FastAPI application, keys, limits, errors; the composition root."""

from __future__ import annotations
