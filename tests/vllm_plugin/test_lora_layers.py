"""vLLM's real LoRA layers with our methods: packed, row- and column-parallel, replicated, embedding
and head.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.config.lora import LoRAConfig
from vllm.lora.utils import (
    from_layer,
    from_layer_classification,
    from_layer_logits_processor,
)
from vllm.model_executor.layers.linear import (
    ColumnParallelLinear,
    MergedColumnParallelLinear,
    QKVParallelLinear,
    ReplicatedLinear,
    RowParallelLinear,
)
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import (
    ParallelLMHead,
    VocabParallelEmbedding,
)

from lorabay.vllm_plugin import lora_layers
from tests.vllm_plugin.test_cpu_wrapper import wrapper_for

SLOTS = 4
HIDDEN = 32
ROWS = [1, -1, 3, 1, -1]
MAKE: dict[str, tuple[Callable[[], Any], list[str], list[int]]] = {
    "column": (
        lambda: ColumnParallelLinear(HIDDEN, 24, bias=True, params_dtype=torch.float32),
        [],
        [24],
    ),
    "row": (lambda: RowParallelLinear(HIDDEN, 24, bias=True, params_dtype=torch.float32), [], [24]),
    "replicated": (
        lambda: ReplicatedLinear(HIDDEN, 24, bias=False, params_dtype=torch.float32),
        [],
        [24],
    ),
    "gate_up": (
        lambda: MergedColumnParallelLinear(
            HIDDEN, [24, 24], bias=False, params_dtype=torch.float32
        ),
        ["gate", "up"],
        [24, 24],
    ),
    "qkv": (
        lambda: QKVParallelLinear(HIDDEN, 8, 4, 2, bias=True, params_dtype=torch.float32),
        ["q", "k", "v"],
        [32, 16, 16],
    ),
}


def embedding() -> Any:
    return VocabParallelEmbedding(100, HIDDEN, params_dtype=torch.float32)


@pytest.fixture(autouse=True)
def installed(one_rank: None) -> None:
    lora_layers.install()


def lora_config(**options: Any) -> LoRAConfig:
    return LoRAConfig(max_lora_rank=8, max_loras=SLOTS, lora_dtype=torch.float32, **options)


def wrapped(kind: str) -> tuple[Any, Any, list[int]]:
    """A layer with LoRA and the same without, with random weights."""
    make, packed, widths = MAKE[kind]
    base = make()
    fill(base)
    layer = from_layer(base, SLOTS, lora_config(), packed)
    layer.set_mapping(wrapper_for(ROWS))
    return layer, base, widths


def fill(layer: Any) -> None:
    """Give a layer random weights, and do with them what vLLM does after loading."""
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    layer.quant_method.process_weights_after_loading(layer)


def factors(widths: list[int], rank: int = 4) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    return [torch.randn(rank, HIDDEN) for _ in widths], [
        torch.randn(width, rank) for width in widths
    ]


def forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    output = layer(x)
    return output[0] if isinstance(output, tuple) else output


@pytest.mark.parametrize("kind", MAKE)
@pytest.mark.parametrize("dora", [False, True])
def test_the_output_is_the_bases_and_each_rows_own_update(kind: str, dora: bool) -> None:
    """For every kind of layer that vLLM has: LoRA, and DoRA with the base's bias left alone, beside
    base rows.
    """
    layer, base, widths = wrapped(kind)
    a, b = factors(widths)
    scales = [torch.rand(width) + 0.5 for width in widths]
    packed = len(widths) > 1
    own = lora_layers.module_factors(
        layer,
        a if packed else a[0],
        b if packed else b[0],
        (scales if packed else scales[0]) if dora else None,
    )
    assert own is not None
    layer.set_lora(1, own.laid_out(), None)
    x = torch.randn(len(ROWS), HIDDEN)
    plain = forward(base, x)
    expected = plain.clone()
    for row in (0, 3):
        update = torch.cat([b_i @ (a_i @ x[row]) for a_i, b_i in zip(a, b, strict=True)])
        bias = torch.zeros_like(plain[row]) if base.bias is None else base.bias
        scale = torch.cat(scales) if dora else torch.ones_like(bias)
        expected[row] = (plain[row] - bias) * scale + bias + update
    result = forward(layer, x)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(result[[1, 2, 4]], plain[[1, 2, 4]])
    layer.reset_lora(1)
    assert torch.equal(forward(layer, x), plain)


def test_a_packed_module_may_be_adapted_in_part() -> None:
    """q and v without k: the k columns stay the base's."""
    layer, base, widths = wrapped("qkv")
    a, b = factors(widths)
    layer.set_lora(1, [a[0], None, a[2]], [b[0], None, b[2]])
    x = torch.randn(len(ROWS), HIDDEN)
    result, plain = forward(layer, x), forward(base, x)
    assert torch.equal(result[:, 32:48], plain[:, 32:48])
    torch.testing.assert_close(
        result[0, 48:], plain[0, 48:] + b[2] @ (a[2] @ x[0]), rtol=1e-4, atol=1e-4
    )


def test_slots_take_no_memory_before_an_adapter_comes() -> None:
    """vLLM's code still finds the shapes that it asks for."""
    layer, _, _ = wrapped("gate_up")
    assert [tuple(stack.shape) for stack in layer.lora_a_stacked] == [(SLOTS, 1, 8, HIDDEN)] * 2
    assert [tuple(stack.shape) for stack in layer.lora_b_stacked] == [(SLOTS, 1, 24, 8)] * 2
    assert (
        sum(
            stack.untyped_storage().nbytes()
            for stack in (*layer.lora_a_stacked, *layer.lora_b_stacked)
        )
        < 64
    )


def test_an_unloaded_adapter_leaves_its_slot() -> None:
    """Its tensors are free at once, and not when another adapter takes the slot."""
    from vllm.lora.model_manager import LoRAModelManager

    layer, base, widths = wrapped("gate_up")
    a, b = factors(widths)
    layer.set_lora(1, a, b)
    tensors = weakref.ref(layer.lora_slots.weights[1].a)
    manager: Any = SimpleNamespace(
        lora_index_to_id=[None, 7, None, None], modules={"gate_up": layer, "other": base}
    )
    LoRAModelManager._deactivate_adapter(manager, 8)
    assert tensors() is not None
    LoRAModelManager._deactivate_adapter(manager, 7)
    assert manager.lora_index_to_id == [None] * SLOTS
    assert tensors() is None


def test_fully_sharded_layers_keep_vllms_own_way() -> None:
    """They exchange data between the two products, so vLLM's tensors stay."""
    make, packed, _ = MAKE["column"]
    layer = from_layer(make(), SLOTS, lora_config(fully_sharded_loras=True), packed)
    layer.set_mapping(wrapper_for(ROWS))
    a, b = factors([24])
    layer.set_lora(1, a[0], b[0])
    assert not hasattr(layer, "lora_slots")
    assert torch.equal(layer.lora_a_stacked[0][1, 0, :4], a[0])
    layer.reset_lora(1)
    assert not layer.lora_a_stacked[0].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_head_of_a_classifier_adds_each_requests_update(dtype: torch.dtype) -> None:
    """It has a row for each request, not for each token, and computes in float32 itself."""
    base = ReplicatedLinear(HIDDEN, 3, bias=False, params_dtype=torch.float32, return_bias=False)
    fill(base)
    config = LoRAConfig(max_lora_rank=8, max_loras=SLOTS, lora_dtype=dtype)
    layer = from_layer_classification(base, SLOTS, config)
    requests = [1, -1, 3]
    layer.set_mapping(wrapper_for([1] * 4 + [-1] * 2 + [3] * 5, requests))
    layer.set_output_mapping(tuple(requests))

    x = torch.randn(len(requests), HIDDEN)
    plain = forward(base, x)
    assert torch.equal(forward(layer, x), plain)

    (a,), (b,) = factors([3])
    layer.set_lora(1, a.to(dtype), b.to(dtype))
    result = forward(layer, x)
    tolerance = 1e-4 if dtype is torch.float32 else 0.3
    torch.testing.assert_close(result[0], plain[0] + b @ (a @ x[0]), rtol=0.02, atol=tolerance)
    assert torch.equal(result[1:], plain[1:])

    layer.reset_lora(1)
    assert torch.equal(forward(layer, x), plain)


def test_an_embedding_adds_what_its_ids_look_up() -> None:
    """Rows with an adapter get B A[:, id]; base rows do not."""
    base = VocabParallelEmbedding(100, HIDDEN, params_dtype=torch.float32)
    fill(base)
    layer = from_layer(base, SLOTS, lora_config(), [])
    layer.set_mapping(wrapper_for(ROWS))
    a, b = torch.randn(4, 100), torch.randn(HIDDEN, 4)
    layer.set_lora(1, a, b)
    ids = torch.tensor([7, 7, 99, 0, 50])
    plain, result = base(ids), layer(ids)
    torch.testing.assert_close(result[0], plain[0] + b @ a[:, 7], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(result[3], plain[3] + b @ a[:, 0], rtol=1e-4, atol=1e-4)
    assert torch.equal(result[[1, 2, 4]], plain[[1, 2, 4]])


def test_the_head_updates_the_logits_of_sampled_rows() -> None:
    """Through vLLM's own logits processor."""
    head = ParallelLMHead(100, HIDDEN, params_dtype=torch.float32)
    fill(head)
    processor = LogitsProcessor(100)
    layer = from_layer_logits_processor(processor, head, SLOTS, lora_config(), None)
    layer.set_mapping(wrapper_for(ROWS))
    a, b = torch.randn(4, HIDDEN), torch.randn(100, 4)
    layer.set_lora(1, a, b)
    x = torch.randn(len(ROWS), HIDDEN)
    plain, result = processor(head, x), layer(head, x)
    torch.testing.assert_close(result[0], plain[0] + b @ (a @ x[0]), rtol=1e-4, atol=1e-4)
    assert torch.equal(result[[1, 2, 4]], plain[[1, 2, 4]])


def traced(layer: Any, x: torch.Tensor) -> tuple[torch.Tensor, str]:
    """What the layer as one whole graph gives, and the graph's code."""
    seen: list[str] = []

    def look(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Any:
        seen.append(str(graph.code))
        return graph.forward

    torch.compiler.reset()
    result = torch.compile(lambda x: forward(layer, x), backend=look, fullgraph=True)(x)
    (code,) = seen
    return result, code


def test_the_compiler_sees_one_opaque_operator() -> None:
    """The layer compiles as a whole graph and gives what it gives uncompiled."""
    layer, _, widths = wrapped("column")
    a, b = factors(widths)
    layer.set_lora(1, a[0], b[0])
    x = torch.randn(len(ROWS), HIDDEN)
    result, code = traced(layer, x)
    torch.testing.assert_close(result, forward(layer, x))
    assert code.count("lorabay.add_update") == 1


@pytest.mark.parametrize("kind", [*MAKE, "embedding"])
def test_a_graph_holds_neither_slots_nor_rank_limit(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So compiled code is taken again when they change; a layer's own number is its place in the
    model.
    """
    if kind == "embedding":
        make: Callable[[], Any] = embedding
        packed, x = [], torch.tensor([7, 7, 99, 0, 50])
    else:
        (make, packed, _), x = MAKE[kind], torch.randn(len(ROWS), HIDDEN)
    codes = set()
    for slots, rank in ((SLOTS, 8), (2 * SLOTS, 64)):
        monkeypatch.setattr(lora_layers, "_layers", [])
        fill(base := make())
        config = LoRAConfig(max_lora_rank=rank, max_loras=slots, lora_dtype=torch.float32)  # type: ignore[arg-type]
        layer = from_layer(base, slots, config, packed)
        layer.set_mapping(wrapper_for(ROWS))
        codes.add(traced(layer, x)[1])
    (code,) = codes
    assert "lorabay.add_" in code
