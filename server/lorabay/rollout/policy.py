"""How a version is rolled out: its steps, what keeps a client with its version, and its guards.

One form for the admin side, the command line, an adapter's `lorabay.toml` and the store:

    {"steps": ["5:10m", "25:10m", "100"], "by": "user", "guards": {"length": "off"}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lorabay.rollout.assignment import By
from lorabay.rollout.guards import OFF, Guards, read_guards
from lorabay.rollout.steps import Step, read_steps

KEYS = ("steps", "by", "guards")


@dataclass(frozen=True, slots=True)
class Policy:
    """How a version is rolled out."""

    steps: tuple[Step, ...]
    by: By = By.USER
    guards: Guards = field(default_factory=Guards)

    def as_json(self) -> dict[str, Any]:
        """Return it in the form that `read_policy` reads, every limit named."""
        limits = asdict(self.guards).items()
        return {
            "steps": [str(step) for step in self.steps],
            "by": str(self.by),
            "guards": {name: OFF if limit is None else limit for name, limit in limits},
        }


def read_policy(wishes: Mapping[str, object]) -> Policy:
    """Return the policy that wishes stand for; raises ValueError saying what is wrong."""
    for name in wishes:
        if name not in KEYS:
            raise ValueError(f"{name[:40]!r} is unknown; there are {', '.join(KEYS)}")

    steps, guards = wishes.get("steps"), wishes.get("guards", {})
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise ValueError('steps must be a list, such as ["5:10m", "25:10m", "100"]')
    if not all(isinstance(step, str) for step in steps):
        raise ValueError('each step must be a text, such as "5:10m"')
    if not isinstance(guards, Mapping):
        raise ValueError("guards must be a table of limits")
    return Policy(read_steps(steps), _by(wishes.get("by", By.USER)), read_guards(guards))


def _by(value: object) -> By:
    if value not in list(By):
        raise ValueError(f"by must be one of {', '.join(By)}")
    return By(str(value))
