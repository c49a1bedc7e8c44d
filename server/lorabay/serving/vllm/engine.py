"""vLLM as an `Engine`: AsyncLLM in this process, vLLM's own serving classes in front of it.

Owns the engine's life, and the way of a request through it; `lora_weights` has the weights of
adapters in it. The slow start and the shutdown run in threads; everything else runs on the event
loop. Knows nothing of adapter folders, names' live versions or HTTP.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping, Set as AbstractSet
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel
from starlette.datastructures import State
from starlette.responses import Response
from vllm.config import CompilationMode
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.platforms import current_platform
from vllm.plugins import load_general_plugins
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import (
    EngineUnavailable,
    LorabayError,
    SetupError,
)
from lorabay.serving.engine import MESSAGES, Answer, Compiled, Meter, Slots, StepTokens, not_served
from lorabay.serving.garbage import set_aside
from lorabay.serving.machine_defaults import BESIDE_VARIABLE, DORA_VARIABLE, set_start_method
from lorabay.serving.supervision.engine_processes import EngineProcesses
from lorabay.serving.vllm import errors as vllm_errors
from lorabay.serving.vllm.admission import Admission, current as current_admission
from lorabay.serving.vllm.answers import as_json
from lorabay.serving.vllm.args import parse_engine_args
from lorabay.serving.vllm.compilation import CompilationWatch
from lorabay.serving.vllm.grammars import EngineGrammars, GatedLLM
from lorabay.serving.vllm.kernel_ahead import compile_kernel_ahead
from lorabay.serving.vllm.latent_attention import refuse_latent_attention
from lorabay.serving.vllm.lora_conflicts import refuse_conflicts
from lorabay.serving.vllm.lora_weights import LoraWeights, ask_every_worker
from lorabay.serving.vllm.messages import keep_failures
from lorabay.serving.vllm.parsers import drop_unfit, with_parsers
from lorabay.serving.vllm.pooling import adapt_parts, answer_of, keep_prompts_whole
from lorabay.serving.vllm.reading import Reading, current as current_reading, watch_reading
from lorabay.serving.vllm.rendering import current_preferences
from lorabay.serving.vllm.rendering.adapter_rendering import AdapterRendering
from lorabay.serving.vllm.request_spans import trace_requests, without_trace
from lorabay.serving.vllm.requests.bodies import StrangeForm, strange_form
from lorabay.serving.vllm.requests.hosted_tools import refuse_hosted_tools
from lorabay.serving.vllm.requests.media import set_media_environment
from lorabay.serving.vllm.requests.message_requests import read_whole
from lorabay.serving.vllm.requests.prompt_logprobs import PromptLogprobs
from lorabay.serving.vllm.serving_methods import SERVING_METHODS, request_schemas
from lorabay.serving.vllm.slots import SlotWatch, adapters_in_slots
from lorabay.serving.vllm.stat_logger import ModelStatLogger, StatLogger, forget_series
from lorabay.serving.vllm.stream import RequestContext, VllmStream, usage_of
from lorabay.serving.vllm.usage import BeamTally, RequestTally, current, watch_requests

if TYPE_CHECKING:
    from lorabay.base.find import BaseFolder
    from lorabay.serving.engine import AdapterRoom, AnswerStream, Body, Call
    from lorabay.serving.vllm.requests.bodies import BodyType


SHUTDOWN_S = 5.0
"""Time in which the engine process may end by itself before it is killed."""

DEATH_POLL_S = 0.1
STOPPED_POLL_S = 0.5

STAGING_WORKER = "lorabay.vllm_plugin.staging.StagingWorker"
"""The plugin's addition to vLLM's worker. Only named here: vLLM imports it in that process."""

MAX_ASKED_TOKENS = 262_144
"""Tokens that all sequences of one request may generate, unless the caller says another number."""

MAX_PROMPT_LOGPROB_TOKENS = 512
"""Tokens of prompts that one request may have scored, unless the caller says another number."""

asked_model: ContextVar[str] = ContextVar("asked_model")
"""`model` as the client wrote it, for vLLM's serving classes to echo."""


class VllmEngine:
    """One base model in vLLM, with vLLM's engine options by name.

    Structured outputs pass `grammars` first. `traced` has vLLM make a span of each request that
    carries a trace. An engine without `adapters` answers every version with the model itself.
    `pids` are the processes of all engines of this server, which share it. The other arguments are
    the settings of their names.
    Raises UsageError at once for options that vLLM does not take, or that LoRA does not, and
    SetupError for a base that vLLM would answer wrongly with on this device.
    """

    def __init__(
        self,
        base: BaseFolder,
        options: Mapping[str, Any],
        grammars: EngineGrammars | None = None,
        *,
        max_asked_tokens: int = MAX_ASKED_TOKENS,
        max_prompt_logprob_tokens: int = MAX_PROMPT_LOGPROB_TOKENS,
        compile_first: bool = True,
        traced: bool = False,
        adapters: bool = True,
        pids: set[int] | None = None,
    ) -> None:
        # vLLM reads these variables when it starts processes and when it fetches media.
        set_start_method(os.environ)
        set_media_environment(os.environ)
        if current_platform.is_cpu():
            refuse_latent_attention(base.path)

        self._options = {"served_model_name": base.served_name} | dict(options)
        self._args: Namespace = parse_engine_args(
            str(base.path), with_parsers(self._options, base.path), adapters=adapters
        )
        self._adapters = adapters
        self._stat_logger = StatLogger if adapters else ModelStatLogger
        if adapters:
            refuse_conflicts(self._args, on_cpu=current_platform.is_cpu())
        self._prompt_logprobs = PromptLogprobs.of(
            self._args, on_cpu=current_platform.is_cpu(), max_tokens=max_prompt_logprob_tokens
        )
        self._max_asked_tokens = max_asked_tokens
        self._traced = traced
        self._served_name: str = self._args.served_model_name[0]
        self._args.worker_extension_cls = self._args.worker_extension_cls or STAGING_WORKER

        plugin_scales = os.environ.get(DORA_VARIABLE) == "1"
        self._scales_on_device = plugin_scales and not current_platform.is_cpu()
        if self._scales_on_device:
            # vLLM hashes this into the key of its compiled graphs: graphs that hold the scaling
            # must not be taken for graphs that do not.
            self._args.additional_config = self._args.additional_config | {DORA_VARIABLE: "1"}

        self._grammars = grammars or EngineGrammars()
        self._llm: GatedLLM | None = None
        self._max_sequences: int | None = None
        self._reads_at_once: StepTokens | None = None
        self._state = State()
        self._answered: frozenset[Call] | None = None
        """The calls that the base answers; None before the first start."""
        can_stage = self._args.worker_extension_cls == STAGING_WORKER
        self._weights = LoraWeights(self._running, can_stage=can_stage)
        self._slot_watch: SlotWatch | None = None
        self._pinned: Callable[[], AbstractSet[Digest]] = frozenset
        # Whoever has a worker of their own compiles first: that one cannot be asked.
        self._compiles_beside = can_stage and current_platform.is_cpu() and not compile_first
        os.environ[BESIDE_VARIABLE] = "1" if self._compiles_beside else "0"
        self._compilation: CompilationWatch | None = None
        self._watching: list[asyncio.Task[None]] = []
        self._processes = EngineProcesses()
        self._pids = set() if pids is None else pids

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens; None before the first start."""
        return None if self._llm is None else self._llm.model_config.max_model_len

    @property
    def max_sequences(self) -> int | None:
        """Sequences that vLLM computes at once, in all copies; None before the first start."""
        return self._max_sequences

    @property
    def reads_at_once(self) -> StepTokens | None:
        """Tokens of prompts that vLLM reads in a step, in all copies; None before the start."""
        return self._reads_at_once

    @property
    def adapter_room(self) -> AdapterRoom | None:
        """None: vLLM takes as many adapters as its options say."""
        return None

    def when_resized(self, resized: Callable[[], None]) -> None:
        """Do nothing: vLLM stays as it was started."""

    @property
    def compiled(self) -> Compiled | None:
        """Whether the base runs compiled; None before the first start."""
        if self._llm is None:
            return None
        if self._compilation is not None:
            return self._compilation.compiled

        return Compiled.YES if _may_compile(self._llm) else Compiled.NO

    async def start(self) -> None:
        """Start the engine process and load the base; takes tens of seconds.

        Raises SetupError if vLLM cannot run with these options, or if they need the plugin and it
        is not active.
        """
        try:
            llm = await asyncio.to_thread(self._build)
            await init_app_state(llm, self._state, self._args, await llm.get_supported_tasks())
        except (
            RuntimeError,
            ValueError,
            OSError,
            NotImplementedError,
            ImportError,
            EngineDeadError,
        ) as error:
            raise SetupError(f"vLLM did not start: {vllm_errors.first_line(error)}") from error

        self._answered = frozenset(filter(self._has_part, SERVING_METHODS))
        if MESSAGES in self._answered:
            read_whole(self._state.anthropic_serving_messages)
            keep_failures(self._state.anthropic_serving_messages)
        adapt_parts(self._state)
        models = self._state.openai_serving_models
        models.lora_requests = self._weights.requests
        # vLLM would answer with the version's internal id: clients get their own spelling back.
        models.model_name = lambda lora_request=None: asked_model.get(self._served_name)
        AdapterRendering(
            self._state.online_renderer,
            self._prompt_logprobs,
            max_asked_tokens=self._max_asked_tokens,
        )
        self._watch(llm)
        if self._traced:
            trace_requests(llm)
        self._processes = await asyncio.to_thread(self._find_processes, llm)
        self._pids |= self._processes.pids
        self._grammars.open(llm)
        config = llm.vllm_config
        copies = config.parallel_config.data_parallel_size
        scheduler = config.scheduler_config
        whole = scheduler.max_num_batched_tokens
        beside = scheduler.long_prefill_token_threshold or whole
        self._max_sequences = scheduler.max_num_seqs * copies
        self._reads_at_once = StepTokens(beside * copies, whole * copies)
        self._llm = llm

    def _find_processes(self, llm: AsyncLLM) -> EngineProcesses:
        """Return the processes of this engine, among those of all engines of this server."""
        manager = getattr(llm.engine_core.resources, "engine_manager", None)
        children = getattr(manager, "processes", None)
        if children is None:  # vLLM's workers under Ray
            return EngineProcesses.find(but=self._pids)
        return EngineProcesses.find(among=[child.pid for child in children])

    def _has_part(self, call: Call) -> bool:
        """Return whether vLLM has made what answers a call: that depends on the base's tasks."""
        return getattr(self._state, SERVING_METHODS[call].part, None) is not None

    def _watch(self, llm: AsyncLLM) -> None:
        """Follow what the engine's requests cost, which adapters are in its slots, and a base that
        is compiled meanwhile.
        """
        processor = llm.output_processor
        runs: list[Coroutine[Any, Any, None]] = []
        if self._adapters:
            ask = partial(adapters_in_slots, llm, lambda: self._weights.ids_of(self._pinned()))
            self._slot_watch = SlotWatch(ask, processor.has_unfinished_requests)
            runs.append(self._slot_watch.run())
        watch_requests(processor, self._look_at_slots)
        watch_reading(processor)

        if self._compiles_beside and _may_compile(llm):
            self._compilation = CompilationWatch(
                partial(ask_every_worker, llm, "advance_compilation")
            )
            runs.append(self._compilation.run())

        self._watching = [asyncio.create_task(run) for run in runs]
        for task in self._watching:
            # A worker of the user's own cannot be asked, and a dead one does not answer.
            task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def _build(self) -> GatedLLM:
        load_general_plugins()
        if not self._plugin_is_active():
            raise SetupError(
                "the plugin that keeps adapters apart on a CPU, and serves DoRA on a GPU, is not "
                "active: add `lorabay` to VLLM_PLUGINS, and use the vLLM version of the lock file"
            )

        drop_unfit(self._args, self._options)
        engine_args = AsyncEngineArgs.from_cli_args(self._args)
        config = engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
        keep_prompts_whole(config.scheduler_config)
        if current_platform.is_cpu() and config.lora_config is not None:
            compile_kernel_ahead(str(config.lora_config.lora_dtype).removeprefix("torch."))
        llm: GatedLLM = GatedLLM.from_vllm_config(
            vllm_config=config,
            usage_context=UsageContext.OPENAI_API_SERVER,
            enable_log_requests=engine_args.enable_log_requests,
            disable_log_stats=engine_args.disable_log_stats,
            stat_loggers=None if engine_args.disable_log_stats else [self._stat_logger],
        )
        set_aside()
        return llm

    def _plugin_is_active(self) -> bool:
        """Return whether the plugin is installed wherever correct results depend on it."""
        if current_platform.is_cpu():
            return bool(current_platform.get_punica_wrapper().startswith("lorabay."))
        if not self._scales_on_device:
            return True
        from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

        return bool(BaseLinearLayerWithLoRA._apply_lora_to_output.__module__.startswith("lorabay."))

    async def stop(self) -> None:
        """End the engine process and forget what it held; idempotent."""
        llm, self._llm = self._llm, None
        self._slot_watch = self._compilation = None
        for task in self._watching:
            task.cancel()
        self._weights.forget_all()
        self._pids -= self._processes.pids
        self._processes = EngineProcesses()
        await self._grammars.close()
        if llm is None:
            return

        # Nobody takes the engine's last messages any more: whoever waits for one learns it here.
        llm.output_processor.propagate_error(EngineDeadError())
        if llm.output_handler is not None:
            llm.output_handler.cancel()
        await asyncio.to_thread(llm.shutdown, timeout=SHUTDOWN_S)
        forget_series(llm)

    async def died(self) -> None:
        """Return once vLLM's own monitor has noticed that the engine process is gone."""
        while self._llm is None or not self._llm.errored:
            await asyncio.sleep(DEATH_POLL_S)

    async def beat(self) -> None:
        """Return once the engine has answered between two steps, and none of its processes is
        stopped.

        Costs the engine's loop well under a millisecond, and its workers nothing.
        """
        try:
            await self._running().is_sleeping()
        except EngineDeadError as error:
            raise vllm_errors.from_exception(error) from error

        # The question does not reach the workers: asked while they idle, it would cost each of them
        # a second of spinning. One that hangs in a step keeps the engine from answering.
        while self._processes.any_stopped():
            await asyncio.sleep(STOPPED_POLL_S)

    async def kill(self) -> None:
        """End the engine's processes at once, also those that are stopped or still starting."""
        self._processes.kill()
        if self._llm is None:
            # It starts: its processes are among those that no engine calls its own yet.
            EngineProcesses.find(but=self._pids).kill()

    def check(self) -> None:
        """Raise EngineUnavailable unless requests can be answered now."""
        self._running()

    def check_call(self, call: Call) -> None:
        """Raise CallNotServed for a call that vLLM does not answer with this base."""
        if self._answered is not None and call not in self._answered:
            raise not_served(call, self._answered)

    def _running(self) -> AsyncLLM:
        if self._llm is None:
            raise EngineUnavailable(
                "the engine is not up yet", retry_after=vllm_errors.RETRY_AFTER_S
            )
        if self._llm.errored:
            raise vllm_errors.from_exception(self._llm.dead_error)
        return self._llm

    def schemas(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the JSON schema of each call's body, as vLLM validates it."""
        return request_schemas()

    def slots(self) -> Slots | None:
        """Return the slots as vLLM last told; None if it cannot be asked."""
        if self._llm is None or self._slot_watch is None or self._slot_watch.held is None:
            return None

        held = self._weights.with_ids(self._slot_watch.held)
        return Slots(held, self._llm.vllm_config.lora_config.max_loras)

    def keep_in_slots(self, pinned: Callable[[], AbstractSet[Digest]]) -> None:
        """Tell vLLM's workers, each time that they are asked for their slots."""
        self._pinned = pinned

    def _look_at_slots(self) -> None:
        if self._slot_watch is not None:
            self._slot_watch.look_again()

    async def load(self, version: Version) -> None:
        """Load a version's weights from the store; loading them again changes nothing.

        Raises AdapterRejected with vLLM's reason if it refuses the weights, and EngineUnavailable
        if something else went wrong, which may be well again.
        """
        await self._weights.load(version)
        self._look_at_slots()

    async def unload(self, version: Version) -> None:
        """Drop a version's weights; unloading what is not loaded changes nothing."""
        await self._weights.unload(version)
        self._look_at_slots()

    async def run(
        self,
        call: Call,
        body: Body,
        version: Version | None,
        *,
        request_id: str,
        headers: Mapping[str, str] | None = None,
        meter: Meter | None = None,
    ) -> Answer | AnswerStream:
        """Answer a request through vLLM's serving class of its call; see `Engine.run`."""
        llm = self._running()
        self.check_call(call)
        asked_model.set(body["model"])
        # The tokeniser is the base's, and the version need not be loaded for it.
        model = self._served_name
        if self._adapters and version is not None and call.computes:
            model = self._weights.name_of(version)

        has_beams = call.generates and bool(body.get("use_beam_search"))
        if has_beams and self._traced:
            headers = without_trace(headers)
        tally = BeamTally() if has_beams else RequestTally()
        context = RequestContext.new(request_id, headers, tally)
        current.set(tally)
        meter = meter or Meter()
        meter.read = context.tally.usage
        admission = Admission(meter)
        # The requests of a beam search are no prompts that somebody sent.
        current_admission.set(None if has_beams else admission)
        current_reading.set(Reading(meter.was_read))

        body = current_preferences.begin(call, body, version, llm)
        serving = SERVING_METHODS[call]
        respond = getattr(getattr(self._state, serving.part), serving.method)
        try:
            request = await self._checked(serving.body, body, model)
            result = await respond(request, cast("Any", context))
        except vllm_errors.EngineFailure as error:
            admission.check()
            failure = vllm_errors.from_exception(error)
            raise self._in_public(failure, llm, model, body["model"]) from error
        except StrangeForm as error:
            # Until vLLM has made a prompt of the body, all that it does is to read it.
            if context.has_prompt:
                raise
            raise strange_form(error) from error

        if isinstance(result, ErrorResponse):
            _end_if_cancelled()
            admission.check()
            failure = vllm_errors.from_response(result)
            raise self._in_public(failure, llm, model, body["model"])
        if isinstance(result, BaseModel):
            return Answer(as_json(result), usage_of(context, result))
        if isinstance(result, Response):
            return answer_of(result, context.tally.usage())
        return VllmStream(result, context, partial(self._check_failure, admission))

    def _check_failure(self, admission: Admission) -> None:
        """Raise why a stream failed, if that is known better here than vLLM tells it."""
        admission.check()
        self.check()

    async def _checked(self, form: BodyType, body: Body, model: str) -> Any:
        """Return vLLM's request for a body, which has passed every check in front of vLLM."""
        request = form.validate(body, model=model)
        self._prompt_logprobs.check(request)
        if self._args.tool_server is None:
            refuse_hosted_tools(request)
        await self._grammars.admit(request)
        return request

    def _in_public(
        self, error: LorabayError, llm: AsyncLLM, model: str, asked: str
    ) -> LorabayError:
        """Return what the client of a request that failed in `llm` is told.

        A request that outlived its engine fails in ways that are no fault of its own. Any other
        error has the client's spelling of the model in place of the internal one.
        """
        is_gone = llm.errored or self._llm is not llm
        if is_gone and (error.status == 404 or error.status >= 500):
            return vllm_errors.from_exception(EngineDeadError())

        error.message = error.message.replace(model, asked)
        error.args = (error.message,)
        return error


def _may_compile(llm: AsyncLLM) -> bool:
    """Return whether vLLM compiles the base at all: with this configuration, on this machine."""
    return bool(llm.vllm_config.compilation_config.mode != CompilationMode.NONE)


def _end_if_cancelled() -> None:
    """Raise CancelledError if that was asked for.

    vLLM takes it for an answer to a client that has left, and goes on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
