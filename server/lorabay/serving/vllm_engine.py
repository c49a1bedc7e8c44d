"""vLLM as an `Engine`: AsyncLLM in this process, vLLM's own serving classes in front of it.

Owns the engine's life and the mapping from versions to vLLM's LoRA requests. Each version is known
to vLLM under its own id and its path in the store, so that neither weights nor prefix-cache blocks
of two versions can meet. The slow start runs in a thread; everything else on the event loop. Knows
nothing of folders, names' live versions or HTTP.
"""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter
from starlette.datastructures import State
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.entrypoints.launchers.api_server.app_state import init_app_state
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.entrypoints.openai.completion.protocol import CompletionRequest
from vllm.entrypoints.openai.responses.protocol import ResponsesRequest, ResponsesResponse
from vllm.entrypoints.serve.engine.protocol import ErrorResponse
from vllm.entrypoints.serve.tokenize.protocol import DetokenizeRequest, TokenizeRequest
from vllm.lora.request import LoRARequest
from vllm.platforms import current_platform
from vllm.plugins import load_general_plugins
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from lorabay.catalog.versions import Digest, Version
from lorabay.errors import AdapterRejected, EngineUnavailable, LorabayError, SetupError
from lorabay.serving import DORA_VARIABLE, vllm_errors
from lorabay.serving.engine import Answer, AnswerStream, Body, Endpoint
from lorabay.serving.vllm_args import parse_engine_args
from lorabay.serving.vllm_stream import RequestContext, VllmStream, usage_of

REQUEST_TYPES: dict[Endpoint, TypeAdapter[Any]] = {
    "chat": TypeAdapter(ChatCompletionRequest),
    "completions": TypeAdapter(CompletionRequest),
    "responses": TypeAdapter(ResponsesRequest),
    "tokenize": TypeAdapter(TokenizeRequest),
    "detokenize": TypeAdapter(DetokenizeRequest),
}

SHUTDOWN_S = 5.0
"""What the engine process gets to end by itself before it is killed."""

DEATH_POLL_S = 0.1

STAGING_WORKER = "lorabay.vllm_plugin.staging.StagingWorker"
"""What the plugin adds to vLLM's worker; only named here, vLLM imports it in the worker's
process.
"""

STAGING_POLL_S = 0.02
"""Between two looks at a load under way: each costs the engine's loop well under a millisecond."""

asked_model: ContextVar[str] = ContextVar("asked_model")
"""`model` as the client wrote it, for vLLM's serving classes to echo."""


class VllmEngine:
    """One base model in vLLM.

    `model` is a local folder or what vLLM takes as such; `served_name` is its public name;
    `options` are vLLM's engine options by name. Raises UsageError at once for options that vLLM
    does not take.
    """

    def __init__(self, model: str, served_name: str, options: Mapping[str, Any]) -> None:
        self._args: Namespace = parse_engine_args(
            model, {"served_model_name": served_name} | dict(options)
        )
        self._served_name: str = self._args.served_model_name[0]
        self._args.worker_extension_cls = self._args.worker_extension_cls or STAGING_WORKER
        self._scales_on_device = (
            os.environ.get(DORA_VARIABLE) == "1" and not current_platform.is_cpu()
        )
        if self._scales_on_device:
            # vLLM hashes this into the key of its compiled graphs, which hold the scaling or do
            # not.
            self._args.additional_config = self._args.additional_config | {DORA_VARIABLE: "1"}
        self._llm: AsyncLLM | None = None
        self._state = State()
        self._requests: dict[str, LoRARequest] = {}
        self._ids: dict[Digest, int] = {}

    @property
    def max_model_len(self) -> int | None:
        """Context length in tokens, once started."""
        return None if self._llm is None else self._llm.model_config.max_model_len

    async def start(self) -> None:
        """Start the engine process and load the base; tens of seconds.

        Raises SetupError when vLLM cannot run with these options, or when they need a plugin that
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
            raise SetupError(f"vLLM did not start: {_first_line(error)}") from error
        models = self._state.openai_serving_models
        models.lora_requests = self._requests
        # vLLM would answer with the version's internal id; clients get back the name that they
        # asked for.
        models.model_name = lambda lora_request=None: asked_model.get(self._served_name)
        self._llm = llm

    def _build(self) -> AsyncLLM:
        load_general_plugins()
        if not self._plugin_is_active():
            raise SetupError(
                "the plugin that keeps adapters apart on a CPU, and serves DoRA on a GPU, is not active: add `lorabay` "
                "to VLLM_PLUGINS, and use the vLLM version of the lock file"
            )
        engine_args = AsyncEngineArgs.from_cli_args(self._args)
        config = engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
        return AsyncLLM.from_vllm_config(
            vllm_config=config,
            usage_context=UsageContext.OPENAI_API_SERVER,
            enable_log_requests=engine_args.enable_log_requests,
            disable_log_stats=engine_args.disable_log_stats,
        )

    def _plugin_is_active(self) -> bool:
        """Whether what cannot be served right without the plugin is served with it."""
        if current_platform.is_cpu():
            return bool(current_platform.get_punica_wrapper().startswith("lorabay."))
        if not self._scales_on_device:
            return True
        from vllm.lora.layers.base_linear import BaseLinearLayerWithLoRA

        return bool(BaseLinearLayerWithLoRA._apply_lora_to_output.__module__.startswith("lorabay."))

    async def stop(self) -> None:
        """End the engine process and forget what it held; idempotent."""
        llm, self._llm = self._llm, None
        self._requests.clear()
        self._ids.clear()
        if llm is None:
            return
        if llm.output_handler is not None:
            llm.output_handler.cancel()
        await asyncio.to_thread(llm.shutdown, timeout=SHUTDOWN_S)

    async def died(self) -> None:
        """Return once the engine process is gone; vLLM's own monitor notices, this looks at what it
        found.
        """
        while self._llm is None or not self._llm.errored:
            await asyncio.sleep(DEATH_POLL_S)

    def check(self) -> None:
        """Raise EngineUnavailable unless requests can be answered now."""
        self._running()

    def _running(self) -> AsyncLLM:
        if self._llm is None:
            raise EngineUnavailable(
                "the engine is not up yet", retry_after=vllm_errors.RETRY_AFTER_S
            )
        if self._llm.errored:
            raise vllm_errors.from_exception(self._llm.dead_error)
        return self._llm

    def schemas(self) -> Mapping[Endpoint, Mapping[str, Any]]:
        """JSON schema of each endpoint's request body, as vLLM validates it."""
        return {
            endpoint: adapter.json_schema(ref_template="#/components/schemas/{model}")
            for endpoint, adapter in REQUEST_TYPES.items()
        }

    async def load(self, version: Version) -> None:
        """Load a version's weights from the store; loading what is loaded is success.

        Raises AdapterRejected with vLLM's reason when it refuses the weights.
        """
        request = LoRARequest(version.id, self._id(version.spec.digest), str(version.path))
        llm = self._running()
        try:
            await self._stage(llm, request)
            loaded = await llm.add_lora(request)
        except Exception as error:
            self.check()
            raise AdapterRejected(
                version.adapter, (f"the engine refused it: {_first_line(error)}",)
            ) from error
        if not loaded:
            raise AdapterRejected(version.adapter, ("the engine did not take it",))
        self._requests[version.id] = request

    def _id(self, digest: Digest) -> int:
        """vLLM's integer id of a version: small, because its workers keep ids in 32 bits; one for
        equal weights, so that they share a slot; never given to others while the engine lives."""
        return self._ids.setdefault(digest, len(self._ids) + 1)

    async def _stage(self, llm: AsyncLLM, request: LoRARequest) -> None:
        """Return when the weights are ready to enter the engine: read and laid out beside its loop,
        not on it.
        """
        if self._args.worker_extension_cls != STAGING_WORKER:
            return
        identity = (request.lora_name, request.lora_int_id, request.lora_path)
        await llm.collective_rpc("stage_adapter", args=identity)
        while not all(await llm.collective_rpc("adapter_is_staged", args=(request.lora_int_id,))):
            await asyncio.sleep(STAGING_POLL_S)

    async def unload(self, version: Version) -> None:
        """Drop a version's weights unless another name shares them; unloading what is not loaded is
        success.
        """
        request = self._requests.pop(version.id, None)
        if request is None or any(
            other.lora_int_id == request.lora_int_id for other in self._requests.values()
        ):
            return
        try:
            await self._running().remove_lora(request.lora_int_id)
        except EngineDeadError as error:
            raise vllm_errors.from_exception(error) from error

    async def resident(self) -> frozenset[Digest]:
        """Give the digests whose weights the engine holds in memory."""
        loaded = await self._running().list_loras()
        return frozenset(
            Digest(request.lora_path.rsplit(os.sep, 1)[-1])
            for request in self._requests.values()
            if request.lora_int_id in loaded
        )

    async def run(
        self, endpoint: Endpoint, body: Body, version: Version | None, *, request_id: str
    ) -> Answer | AnswerStream:
        """Answer a request through vLLM's serving class of its endpoint; see `Engine.run`."""
        self._running()
        asked_model.set(body["model"])
        internal = body | {"model": self._served_name if version is None else version.id}
        context = RequestContext.new(request_id)
        try:
            request = REQUEST_TYPES[endpoint].validate_python(internal)
            result = await self._call(endpoint, request, context)
        except vllm_errors.EngineFailure as error:
            raise vllm_errors.from_exception(error) from error
        if isinstance(result, ErrorResponse):
            raise _without_internal_names(
                vllm_errors.from_response(result), internal["model"], body["model"]
            )
        if isinstance(result, BaseModel):
            return Answer(_dump(result), usage_of(context, result))
        return VllmStream(result, context, self.check)

    async def _call(self, endpoint: Endpoint, request: Any, context: RequestContext) -> Any:
        state, raw = self._state, cast("Any", context)
        match endpoint:
            case "chat":
                return await state.openai_serving_chat.create_chat_completion(request, raw)
            case "completions":
                return await state.openai_serving_completion.create_completion(request, raw)
            case "responses":
                return await state.openai_serving_responses.create_responses(request, raw)
            case "tokenize":
                return await state.serving_tokenization.create_tokenize(request, raw)
            case "detokenize":
                return await state.serving_tokenization.create_detokenize(request, raw)


def _dump(result: BaseModel) -> bytes:
    if isinstance(result, ResponsesResponse):
        return str(result.model_dump_json(by_alias=True)).encode()
    return result.model_dump_json().encode()


def _without_internal_names(error: LorabayError, internal: str, asked: str) -> LorabayError:
    error.message = error.message.replace(internal, asked)
    error.args = (error.message,)
    return error


def _first_line(error: BaseException) -> str:
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
