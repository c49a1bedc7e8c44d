"""vLLM's model of a base without its weights, under vLLM's own manager of adapters.

The model is made by its class from vLLM's registry on torch's meta device, where tensors have a
shape and no memory. Which of its layers take adapters is then decided by vLLM's own code, from the
same configuration that an engine would have; only the layers for adapters are stood in for, because
the real ones set up kernels. One rank holds the whole model.

Meant for a process of its own: vLLM keeps state for a whole process while it makes a model.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from vllm.config import VllmConfig, set_current_vllm_config
from vllm.distributed.parallel_state import (
    destroy_distributed_environment,
    destroy_model_parallel,
    init_distributed_environment,
    initialize_model_parallel,
    model_parallel_is_initialized,
)
from vllm.engine.arg_utils import AsyncEngineArgs
from vllm.lora import model_manager
from vllm.lora.layers import BaseLayerWithLoRA
from vllm.lora.model_manager import LoRAModelManager
from vllm.lora.utils import _all_lora_classes
from vllm.model_executor.layers.fused_moe import MoERunner
from vllm.model_executor.model_loader.utils import initialize_model
from vllm.model_executor.models import registry, supports_lora
from vllm.usage.usage_lib import UsageContext
from vllm.utils.torch_utils import set_default_torch_dtype

from lorabay.errors import SetupError

META = torch.device("meta")


class StandIn(BaseLayerWithLoRA):  # type: ignore[misc] # vLLM has no types here
    """A layer that stands for one that takes adapters, and answers for the layer below it."""

    def __init__(self, base_layer: torch.nn.Module) -> None:
        super().__init__()
        self.base_layer = base_layer
        if isinstance(base_layer, MoERunner):
            # As vLLM's layer for experts does: by this name it finds those that every token uses.
            self._shared_experts = base_layer._shared_experts


class _Numbers(TorchFunctionMode):
    """Some classes compute numbers for themselves while they are made: there is none, take zero."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if function == torch.Tensor.item and args[0].is_meta:
            return 0.0 if args[0].is_floating_point() else 0

        return function(*args, **(kwargs or {}))


def adapter_manager(arguments: Namespace) -> LoRAModelManager:
    """Return vLLM's manager over a model without weights, for vLLM's parsed arguments.

    Takes a second or two, without vLLM's imports. Raises SetupError if vLLM serves no adapters on
    this base, and whatever vLLM raises for a base or options that it cannot use.
    """
    config = _config_of(arguments)

    with set_current_vllm_config(config), _one_rank():
        model = _model_of(config)
        if not supports_lora(model):
            raise SetupError(f"vLLM's class {type(model).__name__} takes no adapters at all")

        return _manager_over(model, config)


def _config_of(arguments: Namespace) -> VllmConfig:
    failures: list[Exception] = []

    def here(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as failure:
            failures.append(failure)
            raise

    # vLLM asks a class what it can do in a process of its own, which this one is already, and tells
    # of what went wrong there in its log alone.
    with _replaced(registry, _run_in_subprocess=here):
        try:
            engine_args = AsyncEngineArgs.from_cli_args(arguments)
            return engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
        except ValueError as error:
            raise (failures[-1] if failures else error) from error


@contextmanager
def _one_rank() -> Iterator[None]:
    """Have vLLM's parallel state of a single rank within the block, unless there is one."""
    if model_parallel_is_initialized():
        yield
        return

    try:
        with TemporaryDirectory() as place:
            init_distributed_environment(1, 0, f"file://{place}/rendezvous", 0, "gloo")
            initialize_model_parallel(1, 1)
            yield
    finally:
        destroy_model_parallel()
        destroy_distributed_environment()


def _model_of(config: VllmConfig) -> Any:
    with set_default_torch_dtype(config.model_config.dtype), META, _Numbers():
        return initialize_model(vllm_config=config)


def _manager_over(model: Any, config: VllmConfig) -> LoRAModelManager:
    with _replaced(
        model_manager,
        from_layer=_stand_in,
        from_layer_logits_processor=lambda layer, *_: StandIn(layer),
        from_layer_classification=lambda layer, *_: StandIn(layer),
        get_punica_wrapper=lambda *_, **__: object(),
    ):
        return LoRAModelManager(
            model,
            max_num_seqs=1,
            max_num_batched_tokens=1,
            vocab_size=config.model_config.get_vocab_size(),
            lora_config=config.lora_config,
            device=META,
            vllm_config=config,
        )


def _stand_in(
    layer: torch.nn.Module,
    max_loras: int,
    lora_config: Any,
    packed_modules_list: list[str],
    model_config: Any = None,
) -> torch.nn.Module:
    """Return a stand-in for the layer that vLLM would put here, or `layer` if it has none."""
    fits = any(
        kind.can_replace_layer(
            source_layer=layer,
            lora_config=lora_config,
            packed_modules_list=packed_modules_list,
            model_config=model_config,
        )
        for kind in _all_lora_classes
    )
    return StandIn(layer) if fits else layer


@contextmanager
def _replaced(module: ModuleType, **parts: Any) -> Iterator[None]:
    """Replace names of a module within the block."""
    former = {name: vars(module)[name] for name in parts}
    vars(module).update(parts)
    try:
        yield
    finally:
        vars(module).update(former)
