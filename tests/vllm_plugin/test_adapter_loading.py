"""Output scales of DoRA versions, and which layers may have them; the whole way is in tests/e2e."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from vllm.lora.lora_model import LoRAModel
from vllm.lora.model_manager import AdapterLRUCache, LoRAModelManager, LRUCacheLoRAModelManager
from vllm.lora.peft_helper import PEFTHelper

from lorabay.files.adapter_folder import (
    CONFIG_FILE as CONFIG,
    SCALES_FILE as STORED,
    WEIGHTS_FILE as WEIGHTS,
)
from lorabay.vllm_plugin import adapter_loading, lora_layers
from lorabay.vllm_plugin.adapter_loading import (
    SCALES_FILE,
    WEIGHTS_FILE,
    read_modules,
    read_scales,
)
from lorabay.vllm_plugin.module_slots import ModuleWeights
from lorabay.vllm_plugin.scaled_outputs import RowScale
from tests.vllm_plugin.device_slots import toys

LAYER = "model.layers.0"
PACKED = {f"{LAYER}.self_attn.qkv_proj": [f"{LAYER}.self_attn.{part}_proj" for part in "qkv"]}


def manager(**facts: Any) -> Any:
    return SimpleNamespace(model=SimpleNamespace(), packed_modules=PACKED, **facts)


def test_the_files_are_those_that_the_store_writes() -> None:
    """Two rings that may not import one another agree on their names."""
    assert (SCALES_FILE, WEIGHTS_FILE) == (STORED, WEIGHTS)


def test_scales_are_found_under_vllms_names(tmp_path: Path) -> None:
    """A packed module gets a list with a place for each of its parts, a plain one its tensor."""
    q, v, o = torch.rand(8), torch.rand(4), torch.rand(8)
    tensors = {"self_attn.q_proj": q, "self_attn.v_proj": v, "self_attn.o_proj": o}
    save_file(
        {f"{LAYER}.{name}.scale": tensor for name, tensor in tensors.items()},
        tmp_path / SCALES_FILE,
    )
    found = read_scales(tmp_path, manager(modules={}))
    assert set(found) == {f"{LAYER}.self_attn.qkv_proj", f"{LAYER}.self_attn.o_proj"}
    first, second, third = found[f"{LAYER}.self_attn.qkv_proj"]
    assert torch.equal(first, q)
    assert second is None
    assert torch.equal(third, v)
    assert torch.equal(found[f"{LAYER}.self_attn.o_proj"], o)


def test_scales_of_a_base_without_the_class_around_its_layers_are_found(tmp_path: Path) -> None:
    """Pooling bases are saved like that, and their adapters name modules as they do."""
    save_file({"layers.0.self_attn.v_proj.scale": torch.ones(4)}, tmp_path / SCALES_FILE)
    found = read_scales(tmp_path, manager(modules=dict.fromkeys(PACKED)))
    assert set(found) == {f"{LAYER}.self_attn.qkv_proj"}


def test_a_version_without_the_file_has_none(tmp_path: Path) -> None:
    """Plain LoRA, as ever."""
    assert read_scales(tmp_path, manager(modules={})) == {}


def test_scales_that_the_engine_cannot_apply_are_an_error() -> None:
    """Better no adapter than one that answers with half of its mathematics."""
    lacking = manager(modules={}, lora_config=SimpleNamespace(target_modules=["q_proj"]))
    with pytest.raises(ValueError, match=r"DoRA on .*qkv_proj cannot be served"):
        adapter_loading._check_scales(lacking, {f"{LAYER}.self_attn.qkv_proj": [torch.ones(1)]})


def test_an_adapter_that_would_be_applied_in_part_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before vLLM reads it, with the module that the engine leaves alone."""
    tower = "visual.blocks.0.attn.qkv"
    save_file({f"base_model.model.{tower}.lora_A.weight": torch.ones(1, 2)}, tmp_path / WEIGHTS)
    monkeypatch.setattr(
        adapter_loading, "_read_adapter", lambda manager, request: pytest.fail("vLLM read it")
    )

    lacking = manager(modules={}, packed_modules_mapping={}, is_pooling_model=False)
    lacking.model.named_modules = lambda remove_duplicate: ()
    lacking.model.modules = lambda: ()
    with pytest.raises(ValueError, match=f"changes {tower}"):
        adapter_loading.prepare(
            SimpleNamespace(_adapter_manager=lacking),  # type: ignore[arg-type]
            SimpleNamespace(lora_path=str(tmp_path)),
        )


@pytest.mark.parametrize("alphas", [{}, {"down_proj": 3}])
def test_what_is_prepared_is_what_vllm_makes_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_rank: None, alphas: dict[str, int]
) -> None:
    """To the bit: converted to the engine's type, and B scaled after that, one scale or several."""
    lora_layers.install()
    names = ["layers.0.qkv_proj", "layers.0.down_proj"]
    config = toys.lora_config(lora_dtype=torch.float32)
    layers = {name: toys.make_layer(name.rpartition(".")[2], config) for name in names}
    adapters: Any = toys.ToyManager(layers, config)
    adapters.model = SimpleNamespace()
    worker: Any = SimpleNamespace(_adapter_manager=adapters, lora_config=config)

    stored = toys.make_adapter(1, names, without=["layers.0.k_proj"])
    tensors: dict[str, torch.Tensor] = {}
    for module, weights in stored.loras.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = weights.lora_a
        tensors[f"base_model.model.{module}.lora_B.weight"] = weights.lora_b
    save_file(tensors, tmp_path / WEIGHTS)
    ends = {module.rpartition(".")[2] for module in stored.loras}
    facts = {"r": 4, "lora_alpha": 6, "target_modules": sorted(ends), "alpha_pattern": alphas}
    (tmp_path / CONFIG).write_text(json.dumps(facts))

    def read(manager: Any, request: Any) -> LoRAModel:
        return LoRAModel.from_local_checkpoint(
            request.lora_path,
            ends,
            peft_helper=PEFTHelper.from_local_dir(request.lora_path, None),
            lora_model_id=1,
            device="cpu",
            dtype=manager.lora_config.lora_dtype,
        )

    request = SimpleNamespace(lora_path=str(tmp_path))
    expected = read(worker, request)
    adapters._create_merged_loras_inplace(expected)
    monkeypatch.setattr(adapter_loading, "_read_adapter", read)
    monkeypatch.setattr(adapter_loading, "check_all_adapted", lambda *_: None)
    prepared = adapter_loading.prepare(worker, request)

    assert prepared.surely_fits
    for name in names:
        found = prepared.loras[name].lora_a
        assert isinstance(found, ModuleWeights)
        own = expected.loras[name]
        a_parts, b_parts = (
            [part] if torch.is_tensor(part) else part for part in (own.lora_a, own.lora_b)
        )
        for i, (a, b) in enumerate(zip(a_parts, b_parts, strict=True)):
            if b is None:
                assert found.b[i] is None
                continue
            assert torch.equal(found.a[found.starts[i] : found.starts[i] + 4], a)
            assert torch.equal(found.layout.unpack_b(found.b[i], len(b))[:4], b.t())


def test_a_folder_without_weights_is_left_to_vllm(tmp_path: Path) -> None:
    """It knows what to say of one that is not there any more."""
    assert read_modules(tmp_path) == []


def test_a_prepared_adapter_is_only_entered() -> None:
    """What is left on the engine's loop is one entry in vLLM's table."""
    model = SimpleNamespace(id=7, is_prepared=True)
    entered = SimpleNamespace(_registered_adapters={})
    adapter_loading.add(entered, model)
    assert entered._registered_adapters == {7: model}


def test_an_adapter_that_fails_on_its_way_into_a_slot_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second load begins anew; vLLM would take it for loaded and answer without its factors."""
    monkeypatch.setattr(LoRAModelManager, "activate_adapter", adapter_loading.activate)
    two_slots: Any = LRUCacheLoRAModelManager.__new__(LRUCacheLoRAModelManager)
    layer = SimpleNamespace(
        output_factors=torch.ones(3, 4),
        output_shifts=torch.zeros(3, 4),
        scaled_slots=set(),
        output_size=4,
        reset_lora=lambda slot: None,
    )
    two_slots.lora_config = SimpleNamespace(max_loras=2, max_cpu_loras=4)
    two_slots.modules, two_slots.lora_index_to_id, two_slots._is_moe = (
        {"q": layer},
        [None, None],
        False,
    )
    two_slots._registered_adapters = AdapterLRUCache(4, two_slots.deactivate_adapter)
    two_slots._active_adapters = AdapterLRUCache(2, two_slots._deactivate_adapter)
    two_slots._get_lora_layer_weights = lambda *_: None
    bad = SimpleNamespace(
        id=7, is_prepared=True, output_scales={"q": RowScale(torch.ones(3), None)}
    )
    two_slots._registered_adapters[7] = bad
    with pytest.raises(RuntimeError):
        two_slots.activate_adapter(7)
    assert two_slots.list_adapters() == {}
    assert 7 not in two_slots._active_adapters
    assert two_slots.lora_index_to_id == [None, None]
    good = SimpleNamespace(
        id=7, is_prepared=True, output_scales={"q": RowScale(torch.full((4,), 0.5), None)}
    )
    two_slots._registered_adapters[7] = good
    assert two_slots.activate_adapter(7)
    assert torch.equal(layer.output_factors[0], torch.full((4,), 0.5))
