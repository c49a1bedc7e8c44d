"""Engines on a Ray cluster as the settings want them: how many, and how each of them is made.

A replica is made in a process of Ray's, on its own machine, by what is pickled here.
"""

from __future__ import annotations

import asyncio
import json
import os
from functools import partial
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from lorabay.base.files import BaseFiles
from lorabay.base.tokenizer import BaseTokenizer
from lorabay.cluster.replicas.engine_replica import EngineReplica, Room
from lorabay.cluster.replicas.replicas_engine import ReplicasEngine
from lorabay.errors import SetupError
from lorabay.logs import configure_logging, quiet_engine
from lorabay.metrics import Metrics
from lorabay.server.user_options import all_slots, whole_number, worker_count
from lorabay.server.vllm_engine import make_vllm_engine
from lorabay.serving.machine_defaults import scales_outputs, set_cpu_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lorabay.base.find import BaseFolder
    from lorabay.serving.engine import Engine
    from lorabay.settings import Settings

SEQUENCES = 256
"""Requests that a replica takes at once where `max_num_seqs` is vLLM's own."""
FILLED = 0.75
"""The part of their window that replicas should use; above it another one is added."""
THREADS = "VLLM_CPU_OMP_THREADS_BIND"
PROGRAMS = ("lorabay", "vllm")
"""What an engine's process runs; an older one is not spoken to."""
ENGINES_SETTINGS = (
    "engine",
    "expected_adapters",
    "expected_rank",
    "outlier_rank",
    "slot_wait_s",
    "dora",
    "media_domains",
    "compile_first",
    "cpu_kv_cache_gib",
    "cpu_threads",
    "load_timeout_s",
    "concurrent_loads",
    "queue_timeout_s",
    "max_asked_tokens",
    "max_prompt_logprob_tokens",
    "grammar_compile_s",
    "grammar_token_s",
    "grammar_memory_mib",
    "grammar_queue",
    "ray_cpus",
    "ray_gpus",
)
"""The settings that a replica is made by; others are the front's, or need no restart of engines."""


def make_ray_engine(
    base: BaseFolder,
    options: Mapping[str, Any],
    *,
    settings: Settings,
    is_shared: Callable[[], bool] = lambda: False,
) -> Engine:
    """Return all replicas as one engine, not started yet; raises SetupError without Ray.

    `is_shared` says at the end whether other servers still use the replicas.
    """
    if find_spec("ray") is None:
        raise SetupError(
            "--ray-replicas needs Ray: pip install 'lorabay[ray]', or in a clone "
            "`make setup EXTRAS=ray`"
        )
    from lorabay.cluster.ray_serve import environment

    environment.prepare()
    from lorabay.cluster.ray_serve.application import Application, Cluster
    from lorabay.cluster.ray_serve.line import RayLine

    sequences = whole_number(options, "max_num_seqs", default=SEQUENCES)
    cluster = Cluster(
        settings.ray_replicas,
        # Twice the window: what waits, waits in the replica, where its slots are.
        window=2 * sequences,
        most=settings.ray_max_replicas,
        # Full replicas must have more than they should, or none would ever be added.
        wanted=FILLED * sequences,
        idle_s=settings.ray_idle_s,
        made_of=made_of(base, settings),
        address=settings.ray_address,
        cpus=settings.ray_cpus,
        gpus=settings.ray_gpus,
        drain_s=settings.grace_s,
    )
    make = partial(make_replica, base=base, options=dict(options), settings=settings)
    return ReplicasEngine(RayLine(Application(cluster, make, is_shared)))


def made_of(base: BaseFolder, settings: Settings) -> str:
    """Return a digest of what decides how an engine is; the same in every process.

    What the operator asks for counts, and not the options that follow from it and from the adapters
    of the moment: engines that run serve on, although a fresh one would have other slots. Raises
    SetupError for a base that cannot be read.
    """
    files = BaseFiles.open(base.path)
    facts = {
        "versions": {name: _version(name) for name in PROGRAMS},
        "base": [str(base.path), base.served_name, files.config, files.states],
        "tokenizer": BaseTokenizer(base.path).identity,
        "settings": settings.model_dump(mode="json", include=set(ENGINES_SETTINGS)),
    }
    return sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _version(program: str) -> str | None:
    try:
        return version(program)
    except PackageNotFoundError:
        return None


async def make_replica(
    rank: int, *, base: BaseFolder, options: Mapping[str, Any], settings: Settings
) -> EngineReplica:
    """Return a replica that has been started; `rank` is its number on its machine.

    Raises SetupError if its engine cannot run as configured.
    """
    configure_logging(settings.log_format, settings.log_level)
    quiet_engine(os.environ, settings.log_level)
    _set_environment(rank, settings)

    metrics = Metrics(CollectorRegistry())
    engine = await asyncio.to_thread(make_vllm_engine, base, options, settings, metrics)
    replica = EngineReplica(engine, room_of(options, settings))
    await replica.start()
    return replica


def room_of(options: Mapping[str, Any], settings: Settings) -> Room:
    """Return what a replica with these options of vLLM has room for."""
    return Room(
        # The last of vLLM's places is kept for swaps; see `Residency`.
        capacity=whole_number(options, "max_cpu_loras") - 1,
        slots=all_slots(options),
        load_timeout_s=settings.load_timeout_s,
        concurrent_loads=settings.concurrent_loads,
        queue_timeout_s=settings.queue_timeout_s,
        slot_wait_s=settings.slot_wait_s,
    )


def own_cpus(rank: int, count: int, cpus: Sequence[int]) -> Sequence[int]:
    """Return the processors of the replica with this rank on a machine that has `cpus`.

    Replicas beside each other have different ones, as long as there are any.
    """
    start = rank * count % len(cpus)
    return [cpus[(start + number) % len(cpus)] for number in range(min(count, len(cpus)))]


def _set_environment(rank: int, settings: Settings) -> None:
    """Set what vLLM reads of the environment; the front's, which Ray passes on, is not this one's.

    Threads of replicas on one machine would otherwise be bound to the same processors.
    """
    workers = worker_count(settings.engine)
    threads = settings.cpu_threads
    if threads == "all" and workers == 1:
        cpus = own_cpus(rank, settings.ray_cpus, sorted(os.sched_getaffinity(0)))
        threads = ",".join(map(str, cpus))

    os.environ.pop(THREADS, None)
    set_cpu_environment(
        os.environ, kv_cache_gib=settings.cpu_kv_cache_gib, threads=threads, workers=workers
    )
    scales_outputs(os.environ, settings.engine, dora=settings.dora)
