"""Which modules are adapted on a GPU unless the user says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lorabay.server.adapted_modules import LAYERS, OPTION, left_out, usual_targets

MODULES = [f"model.layers.0.self_attn.{name}" for name in sorted(LAYERS)]
VOCABULARY = ["lm_head", "model.embed_tokens"]


def base_of(*modules: str, tensors: tuple[str, ...] = ()) -> Any:
    return SimpleNamespace(shapes=dict.fromkeys(modules, (4, 4)), tensors=dict.fromkeys(tensors))


def adapter(*modules: str) -> Any:
    return SimpleNamespace(modules=modules)


LLAMA = base_of(*MODULES, *VOCABULARY)


def test_head_and_embedding_are_left_out_while_nobody_changes_them() -> None:
    """With adapters and without."""
    assert usual_targets(LLAMA, []) == tuple(sorted(LAYERS))
    assert usual_targets(LLAMA, [adapter("q_proj"), adapter("v_proj")]) == tuple(sorted(LAYERS))


@pytest.mark.parametrize("module", ["lm_head", "embed_tokens", "model.embed_tokens"])
def test_one_adapter_that_changes_them_decides(module: str) -> None:
    """Then all are adapted, as vLLM does it."""
    assert usual_targets(LLAMA, [adapter("q_proj"), adapter("v_proj", module)]) is None


@pytest.mark.parametrize(
    "base",
    [
        base_of(*MODULES, "model.layers.0.mlp.gate"),
        base_of("transformer.h.0.attn.c_attn"),
        base_of(*MODULES, tensors=("model.layers.0.mlp.experts.gate_up_proj",)),
        base_of(*VOCABULARY),
    ],
)
def test_other_bases_are_left_to_vllm(base: Any) -> None:
    """Of their modules nobody knows what vLLM calls them."""
    assert usual_targets(base, []) is None


def test_what_is_left_out_has_a_reason_and_a_way_out() -> None:
    """It is refused from then on; not so what the user asked for."""
    chosen = {OPTION: sorted(LAYERS)}
    refused = left_out(LLAMA, chosen, {})
    assert set(refused) == set(VOCABULARY)
    assert "start again" in refused["lm_head"]
    assert "lm_head" in refused["lm_head"]
    assert left_out(LLAMA, chosen, {OPTION: ["q_proj"]}) == {}
    assert left_out(LLAMA, {}, {}) == {}
