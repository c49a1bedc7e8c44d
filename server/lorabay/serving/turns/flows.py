"""Flows: whose requests share the engine with whose, by which weights, and what a request costs.

Values only. Knows nothing of how turns are given out.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PROMPT_COST, GENERATED_COST = 1.0, 2.0
"""Cost of a token that is read, and of one that is generated: Sheng et al., "Fairness in Serving
Large Language Models" (OSDI 2024), section 5.1.
"""


class Priority(IntEnum):
    """Classes of tenants: whoever waits in a higher one goes first, whatever it has used."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


@dataclass(frozen=True, slots=True)
class Flow:
    """The requests of one tenant for one adapter.

    Tenants of one priority share the engine by `tenant_weight`, and the adapters that one tenant
    asks for share its part by `adapter_weight`. Both are above 0.
    """

    tenant: str
    adapter: str
    priority: Priority = Priority.NORMAL
    tenant_weight: float = 1.0
    adapter_weight: float = 1.0


def cost(prompt_tokens: int, generated_tokens: int, *, cached_tokens: int = 0) -> float:
    """Return what tokens cost, in tokens of a prompt; `cached_tokens` of the prompt cost nothing.

    Their keys and values were in the prefix cache, so nothing was computed for them.
    """
    computed = max(0, prompt_tokens - cached_tokens)
    return PROMPT_COST * computed + GENERATED_COST * generated_tokens
