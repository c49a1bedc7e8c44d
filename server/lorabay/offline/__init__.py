"""Tools that run without a server: base, training, evaluation, bench."""

from __future__ import annotations
