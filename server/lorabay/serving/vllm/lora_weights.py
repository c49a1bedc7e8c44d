"""The weights of adapters in one vLLM: its requests and ids for them, their loading and unloading.

vLLM knows weights by their digest behind the adapter's name, and by their path in the store, so
that neither weights nor prefix-cache blocks of two can meet; versions of an adapter that differ in
their defaults alone share both. Knows nothing of requests for text.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vllm.lora.request import LoRARequest
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.catalog.versions import DIGEST_PREFIX, Digest, Version
from lorabay.errors import AdapterRejected, EngineUnavailable, LorabayError
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from vllm.v1.engine.async_llm import AsyncLLM

LOADED, REFUSED = "loaded", "refused"
"""Outcomes of a load as the plugin reports them; any other one may pass."""

STAGING_POLL_S = 0.01
"""Time between two looks at a load: each costs the engine's loop well under a millisecond, and is
answered between two steps."""


class LoraWeights:
    """The weights in one engine.

    `running` returns that engine, or raises EngineUnavailable. `can_stage` says that its workers
    have the plugin's addition, which reads weights beside the engine's loop.
    """

    def __init__(self, running: Callable[[], AsyncLLM], *, can_stage: bool) -> None:
        self._running = running
        self._can_stage = can_stage
        self._requests: dict[str, LoRARequest] = {}
        self._ids: dict[Digest, int] = {}

    @property
    def requests(self) -> Mapping[str, LoRARequest]:
        """vLLM's requests for weights that are loaded, by the name of each; it looks there."""
        return self._requests

    def forget_all(self) -> None:
        """Forget what an engine held that is gone."""
        # Not emptied: a request that is still being prepared looks there for its version, and must
        # then find an engine that is gone, not a model that does not exist.
        self._requests = {}
        self._ids.clear()

    def with_ids(self, ids: Collection[int]) -> frozenset[Digest]:
        """Return the weights that vLLM knows by these ids."""
        return frozenset(digest for digest, number in self._ids.items() if number in ids)

    def ids_of(self, weights: Collection[Digest]) -> list[int]:
        """Return vLLM's ids of weights that were loaded once, in the order of their first load."""
        return sorted(self._ids[digest] for digest in weights if digest in self._ids)

    def name_of(self, version: Version) -> str:
        """Return vLLM's name of a version's weights.

        Raises EngineUnavailable if they are not loaded: an engine that held them is gone.
        """
        request = self._request(version)
        if request.lora_name not in self._requests:
            if not self._names_of(request.lora_int_id):
                raise vllm_errors.from_exception(EngineDeadError())
            # Loaded under the name of another adapter.
            self._requests[request.lora_name] = request
        return str(request.lora_name)

    async def load(self, version: Version) -> None:
        """Load a version's weights from the store; see `Engine.load`."""
        request = self._request(version)
        llm = self._running()
        try:
            outcomes = await self._load_in_workers(llm, request)
        except Exception as error:
            # A dead engine refuses everything, and one that answers nothing says nothing either.
            self._running()
            raise _not_loaded_now(version, type(error).__name__) from error

        if any(outcome != LOADED for outcome, _ in outcomes):
            await _take_back(llm, request)
            raise _load_error(version, outcomes)
        self._requests[request.lora_name] = request

    async def unload(self, version: Version) -> None:
        """Drop a version's weights; unloading what is not loaded changes nothing."""
        lora_id = self._lora_id(version.weights)
        names = self._names_of(lora_id)
        if not names:
            return

        for name in names:
            del self._requests[name]
        try:
            await self._running().remove_lora(lora_id)
        except EngineDeadError as error:
            raise vllm_errors.from_exception(error) from error

    async def _load_in_workers(self, llm: AsyncLLM, request: LoRARequest) -> list[tuple[str, str]]:
        """Load an adapter; return the outcome in each worker, and the reason where it failed."""
        if self._can_stage:
            return await _load_beside(llm, request)

        # Another worker: vLLM's own call tells of any failure in words alone.
        try:
            is_loaded = await llm.add_lora(request)
        except Exception as error:
            self._running()
            if not Path(request.lora_path).is_dir():
                raise
            return [(REFUSED, first_line(error))]
        return [(LOADED if is_loaded else REFUSED, "the engine did not take it")]

    def _request(self, version: Version) -> LoRARequest:
        """Return vLLM's request for a version's weights.

        Two names of equal weights have a request each: metrics tell adapters apart by it.
        """
        name = f"{version.adapter}@{version.weights[:DIGEST_PREFIX]}"
        return LoRARequest(name, self._lora_id(version.weights), str(version.path))

    def _names_of(self, lora_id: int) -> list[str]:
        return [name for name, known in self._requests.items() if known.lora_int_id == lora_id]

    def _lora_id(self, weights: Digest) -> int:
        """Return vLLM's integer id for weights; an id is never reused while the engine lives.

        Ids are small because vLLM's workers keep them in 32 bits. Equal weights have one id, so
        that they share a slot.
        """
        return self._ids.setdefault(weights, len(self._ids) + 1)


async def _load_beside(llm: AsyncLLM, request: LoRARequest) -> list[tuple[str, str]]:
    """Load an adapter, which is read and laid out beside the engine's loop; return all outcomes.

    Each worker takes it in as soon as it is asked after that. One that has done so says it again
    when it is asked for the others' sake.
    """
    identity = request.lora_name, request.lora_int_id, request.lora_path
    while None in (outcomes := await ask_every_worker(llm, "load_adapter", *identity)):
        # One that has failed would begin again.
        told = [outcome for outcome in outcomes if outcome is not None]
        if any(outcome != LOADED for outcome, _ in told):
            return told
        await asyncio.sleep(STAGING_POLL_S)

    return outcomes


async def _take_back(llm: AsyncLLM, request: LoRARequest) -> None:
    """Unload what only some workers hold: they must all have the same adapters."""
    with contextlib.suppress(Exception):
        await llm.remove_lora(request.lora_int_id)


async def ask_every_worker(llm: AsyncLLM, method: str, *arguments: object) -> list[Any]:
    """Call a method of each worker of every data-parallel engine, and return all answers.

    vLLM's own `collective_rpc` returns those of the first engine's workers alone.
    """
    by_engine = await llm.engine_core.call_utility_all_async(
        "collective_rpc", method, None, arguments, None
    )
    return [answer for workers in by_engine for answer in workers]


def _load_error(version: Version, outcomes: list[tuple[str, str]]) -> LorabayError:
    """Return the error of a load that at least one worker has not done."""
    reasons = [reason for outcome, reason in outcomes if outcome == REFUSED]
    if reasons:
        return AdapterRejected(version.adapter, (f"the engine refused it: {reasons[0]}",))

    failures = [reason for outcome, reason in outcomes if outcome != LOADED]
    return _not_loaded_now(version, failures[0])


def _not_loaded_now(version: Version, reason: str) -> EngineUnavailable:
    return EngineUnavailable(
        f"adapter {version.adapter!r} could not be loaded now: {reason}",
        retry_after=vllm_errors.RETRY_AFTER_S,
    )
