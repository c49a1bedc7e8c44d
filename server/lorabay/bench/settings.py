"""The settings of one bench invocation.

Plain values with units, checked once by `run_bench`. Knows no scenario: a scenario that needs more
than this asks for it with `need_base` or `need_started`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lorabay.bench.workload import Workload
from lorabay.errors import SetupError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lorabay.bench.workload import Endpoint

BASE = "base"
"""Name of the base among the models that are asked, whatever its id on a server."""


def default_env() -> dict[str, str]:
    """Return the environment of a started server: 1 GiB of KV memory and every core, in the terms
    of vLLM's CPU engine.
    """
    last_core = (os.cpu_count() or 1) - 1
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": f"0-{last_core}" if last_core else "0",
    }


def default_engine() -> dict[str, str]:
    """Return the engine options whose defaults depend on who starts vLLM, so that every started
    server has the same.
    """
    return {"max_model_len": "2048", "max_num_seqs": "64", "max_num_batched_tokens": "2048"}


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """One invocation. `engine` and `env` add to their defaults and win over them."""

    scenario: str = "load"
    url: str | None = None
    """A running server, without `/v1`; None starts one. Only scenario `load` takes it."""
    api_key: str | None = field(default=None, repr=False)
    """Sent to every server, also to those that are started, whose own settings decide about it."""
    base: str | None = None
    """Folder or hub id of the base for started servers."""
    adapters: Path | None = None
    """Adapter directory for started servers."""
    output: Path | None = None
    """Folder for the files that scenario `tune` makes, and the plots of `placement`; None for
    `tune`'s own default, and for no plots.
    """
    litellm: Path | None = None
    """The program `litellm`, which scenario `latency` puts in front of vLLM; None leaves it out."""
    models: tuple[str, ...] = ()
    """Models that are asked in turn; `base` means the server's base. Empty: the base and every
    adapter that the server lists.
    """
    concurrency: tuple[int, ...] = (8, 32)
    """Streams open at a time; one run for each number."""
    prompt_tokens: int = 32
    output_tokens: int = 64
    requests: int | None = None
    """Requests of one run; None: one for each stream."""
    rounds: int | None = None
    """Repetitions, or alternating turns of each side; None: the scenario's own default."""
    adapter_count: int = 1_000
    """Adapters that scenario `many` makes."""
    replicas: int = 8
    """Replicas of the cluster that scenario `placement` simulates."""
    slots: int = 32
    """Adapters that one of them has room for."""
    traces: tuple[str, ...] = ()
    """Traces that `placement` replays, by their names; none for all."""
    size_gb: float = 2.0
    """Size, in GB, of the model that scenarios `merge` and `convert` make."""
    endpoint: Endpoint = "completions"
    """`completions` sends exactly `prompt_tokens` token ids; `chat` sends about as many words, plus
    the template.
    """
    engine: Mapping[str, str] = field(default_factory=dict)
    """vLLM engine arguments of started servers, by their Python names."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of started servers."""
    request_timeout_s: float = 300.0
    start_timeout_s: float = 300.0
    stop_timeout_s: float = 20.0
    """Seconds between SIGTERM and SIGKILL."""

    def check(self) -> None:
        """Raise UsageError for a value that no scenario can work with."""
        numbers = {
            "prompt tokens": self.prompt_tokens,
            "output tokens": self.output_tokens,
            "requests": self.requests,
            "rounds": self.rounds,
            "adapter count": self.adapter_count,
            "replicas": self.replicas,
            "slots": self.slots,
        }
        for streams in self.concurrency:
            numbers[f"concurrency {streams}"] = streams

        if not 0.01 <= self.size_gb <= 200:
            raise UsageError("bench: the size must be between 0.01 and 200 GB")
        wrong = [name for name, number in numbers.items() if number is not None and number < 1]
        if wrong:
            raise UsageError(f"bench: {', '.join(wrong)}: must be at least 1")
        if not self.concurrency:
            raise UsageError("bench: give at least one concurrency")

    def workload(self, models: tuple[str, ...]) -> Workload:
        """Return the requests that the settings describe, for models by their ids."""
        return Workload(models, self.prompt_tokens, self.output_tokens, self.endpoint)

    def need_base(self) -> Path:
        """Return the base's folder, for a scenario that makes adapters and starts our server.

        Raises UsageError without one, or with a URL.
        """
        self._refuse_url()
        if self.base is None or not Path(self.base).is_dir():
            raise UsageError(f"bench: scenario {self.scenario!r} needs --base with a folder")
        return Path(self.base)

    def need_started(self) -> tuple[str, Path]:
        """Return base and adapter directory, for a scenario that starts servers of both kinds.

        Raises UsageError without them or with a URL, SetupError if the directory does not exist.
        """
        self._refuse_url()
        if self.base is None or self.adapters is None:
            raise UsageError(f"bench: scenario {self.scenario!r} needs --base and --adapters")
        if not self.adapters.is_dir():
            raise SetupError(f"bench: the adapter directory {self.adapters} does not exist")
        return self.base, self.adapters

    def _refuse_url(self) -> None:
        if self.url is not None:
            raise UsageError(
                f"bench: scenario {self.scenario!r} starts its own servers; leave out --url"
            )
