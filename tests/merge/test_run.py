"""A merge from its settings to its folder, on small random models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lorabay.errors import SetupError
from lorabay.merge.run import merge
from tests import making
from tests.making import values
from tests.merge.bases import (
    HIDDEN,
    VOCABULARY,
    all_tensors,
    contents,
    make_base,
    make_lora,
    merge_settings,
    random_tensor,
)

TORCH = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def merged_by_hand(base: Path, adapter: Path, scale: float, dtype: str) -> dict[str, bytes]:
    """Return round(W + s B A), from float64 sums of torch, of every touched module."""
    tensors, factors = all_tensors(base), making.load(adapter / "adapter_model.safetensors")
    found = {}
    for name, a in factors.items():
        if not name.endswith("lora_A.weight"):
            continue
        module = name.removeprefix(making.PREFIX).removesuffix(".lora_A.weight")
        w, b = tensors[f"{module}.weight"], factors[name.replace("lora_A", "lora_B")]
        wide = [torch.from_numpy(values(part).astype(np.float64)) for part in (w, b, a)]
        result = (wide[0] + scale * (wide[1] @ wide[2])).to(TORCH[dtype])
        found[f"{module}.weight"] = result.view(torch.uint8).numpy().tobytes()
    return found


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("float64", [False, True])
def test_lora_is_merged_to_the_bit(tmp_path: Path, dtype: str, float64: bool) -> None:
    """Every touched tensor is round(W + s B A), and every other is the base's, byte for byte.

    bfloat16 is exact from float32 sums, the finer dtypes from float64 sums.
    """
    base, adapter = (
        make_base(tmp_path / "base", dtype=dtype),
        make_lora(tmp_path / "adapter", lora_alpha=8),
    )
    merge(merge_settings(tmp_path, float64=float64))
    before, after = all_tensors(base), all_tensors(tmp_path / "merged")
    expected = merged_by_hand(base, adapter, 2.0, dtype)
    assert len(expected) == 6
    assert before.keys() == after.keys()
    for name, tensor in after.items():
        assert (tensor.dtype, tensor.shape) == (before[name].dtype, before[name].shape)
        if name not in expected:
            assert tensor.data == before[name].data
        elif dtype == "BF16" or float64:
            assert tensor.data == expected[name], name
        else:
            # float32 sums of the same numbers may differ in their last bits, and so may what is
            # rounded from them.
            theirs = values(making.Stored(dtype, tensor.shape, expected[name]))
            np.testing.assert_allclose(
                values(tensor), theirs, rtol=1e-3 if dtype == "F16" else 1e-6, atol=1e-7
            )


def test_the_folder_is_a_whole_model(tmp_path: Path) -> None:
    """transformers loads it; files, index and provenance agree, and the inputs are untouched."""
    base, adapter = make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    before = contents(base), contents(adapter)
    report = merge(merge_settings(tmp_path))
    merged = tmp_path / "merged"
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(merged)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    assert before == (contents(base), contents(adapter))
    provenance = json.loads((merged / "merge.json").read_bytes())
    assert provenance["files"] == {
        path.name: path.stat().st_size for path in merged.iterdir() if path.name != "merge.json"
    }
    assert provenance["base"]["name"] == making.BASE_NAME
    assert set(provenance["tensors"]) == {change.name for change in report.tensors}
    assert str(tmp_path) not in (merged / "merge.json").read_text()
    assert not (merged / ".merging").exists()


def test_norms_are_those_of_the_change(tmp_path: Path) -> None:
    """||ΔW|| and ||W|| of the report equal those that NumPy measures."""
    base, adapter = make_base(tmp_path / "base", dtype="F32"), make_lora(tmp_path / "adapter")
    report = merge(merge_settings(tmp_path))
    before, after = all_tensors(base), all_tensors(tmp_path / "merged")
    for change in report.tensors:
        w, difference = (
            values(before[change.name]),
            values(after[change.name]) - values(before[change.name]),
        )
        assert change.weight_norm == pytest.approx(np.linalg.norm(w), rel=1e-4)
        assert change.change_norm == pytest.approx(np.linalg.norm(difference), rel=1e-4)
        assert change.changed_share == pytest.approx((difference != 0).mean(), abs=1e-3)
    assert adapter.exists()


def test_shards_of_another_size(tmp_path: Path) -> None:
    """`max_shard_bytes` decides how many files there are; no tensor is cut, none is lost."""
    make_base(tmp_path / "base", files=3), make_lora(tmp_path / "adapter")
    merge(merge_settings(tmp_path, max_shard_bytes=4_000))
    merge(merge_settings(tmp_path, output=tmp_path / "whole"))
    files = sorted((tmp_path / "merged").glob("*.safetensors"))
    assert len(files) > 3
    assert all(
        sum(len(tensor.data) for tensor in making.load(file).values()) <= 4_000 for file in files
    )
    assert all_tensors(tmp_path / "merged") == all_tensors(tmp_path / "whole")


@pytest.mark.parametrize(
    ("dtype", "stored"), [("float32", "F32"), ("float16", "F16"), ("bfloat16", "BF16")]
)
def test_dtype_holds_for_all_tensors(tmp_path: Path, dtype: str, stored: str) -> None:
    """Every tensor is rounded once from the exact sum, and the config names the dtype."""
    make_base(tmp_path / "base", dtype="F32"), make_lora(tmp_path / "adapter")
    merge(merge_settings(tmp_path, dtype=dtype))
    assert {tensor.dtype for tensor in all_tensors(tmp_path / "merged").values()} == {stored}
    assert json.loads((tmp_path / "merged" / "config.json").read_bytes())["dtype"] == dtype
    norm = values(all_tensors(tmp_path / "merged")["model.norm.weight"])
    theirs = torch.from_numpy(values(all_tensors(tmp_path / "base")["model.norm.weight"])).to(
        getattr(torch, dtype)
    )
    assert np.array_equal(norm, theirs.float().numpy())


def test_a_tied_head_parts_from_a_changed_embedding(tmp_path: Path) -> None:
    """The head stays the base's, is written, and stays apart when transformers loads the folder."""
    base = make_base(tmp_path / "base", dtype="F32")
    tensors = {
        f"{making.PREFIX}model.embed_tokens.lora_embedding_A": random_tensor(
            (4, VOCABULARY), 1, "F32"
        ),
        f"{making.PREFIX}model.embed_tokens.lora_embedding_B": random_tensor((HIDDEN, 4), 2, "F32"),
    }
    making.make_adapter(
        tmp_path / "adapter", config=making.lora_config(("embed_tokens",)), tensors=tensors
    )
    report = merge(merge_settings(tmp_path))
    assert report.untied
    assert (
        json.loads((tmp_path / "merged" / "config.json").read_bytes())["tie_word_embeddings"]
        is False
    )
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    embedding = values(all_tensors(base)["model.embed_tokens.weight"])
    a, b = (values(tensor) for tensor in tensors.values())
    np.testing.assert_array_equal(model.lm_head.weight.detach().numpy(), embedding)
    np.testing.assert_allclose(
        model.model.embed_tokens.weight.detach().numpy(),
        embedding + 2 * (b @ a).T,
        rtol=1e-5,
        atol=1e-6,
    )


def test_a_larger_vocabulary(tmp_path: Path) -> None:
    """Embedding and head that grew are taken over, and the config counts their rows."""
    make_base(tmp_path / "base", tied=False)
    fresh = {
        f"{making.PREFIX}{module}.weight": random_tensor((VOCABULARY + 3, HIDDEN), seed)
        for seed, module in enumerate(("model.embed_tokens", "lm_head"), 50)
    }
    tensors = making.lora_tensors(("q_proj",)) | fresh
    config = making.lora_config(("q_proj",), modules_to_save=["embed_tokens", "lm_head"])
    making.make_adapter(tmp_path / "adapter", config=config, tensors=tensors)
    merge(merge_settings(tmp_path))
    after = all_tensors(tmp_path / "merged")
    assert (
        json.loads((tmp_path / "merged" / "config.json").read_bytes())["vocab_size"]
        == VOCABULARY + 3
    )
    for name, tensor in fresh.items():
        assert after[name.removeprefix(making.PREFIX)] == tensor


def test_tokenizer_and_template_of_the_adapter_win(tmp_path: Path) -> None:
    """No file of the base's tokenizer stays beside the adapter's."""
    base, adapter = make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    for name in (
        "tokenizer.model",
        "special_tokens_map.json",
        "chat_template.jinja",
        "generation_config.json",
        "x.bin",
    ):
        (base / name).write_text("base")
    (adapter / "tokenizer.json").write_text("adapter")
    (adapter / "README.md").write_text("card")
    merge(merge_settings(tmp_path))
    merged = contents(tmp_path / "merged")
    assert {
        name: text for name, text in merged.items() if text in (b"base", b"adapter", b"card")
    } == {
        "tokenizer.json": b"adapter",
        "chat_template.jinja": b"base",
        "generation_config.json": b"base",
    }


def test_an_adapter_by_name(tmp_path: Path) -> None:
    """A name means the folder in the adapter directory."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapters" / "finance")
    assert merge(merge_settings(tmp_path, adapter="finance")).adapter == "finance"


def test_a_merge_that_changes_nothing_is_no_merge(tmp_path: Path) -> None:
    """An update that bfloat16 rounds away ends in one line and no model; float32 keeps it."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter", lora_alpha=1e-5)
    with pytest.raises(SetupError, match="the merge changed nothing"):
        merge(merge_settings(tmp_path))
    assert not (tmp_path / "merged" / "config.json").exists()
    report = merge(merge_settings(tmp_path, dtype="float32"))
    assert report.changed_share > 0.5


def test_an_untrained_adapter_is_no_merge(tmp_path: Path) -> None:
    """PEFT initialises B with zeros."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    path = tmp_path / "adapter" / "adapter_model.safetensors"
    making.save(
        path,
        {
            name: making.stored(np.zeros(tensor.shape)) if "lora_B" in name else tensor
            for name, tensor in making.load(path).items()
        },
    )
    for dtype in (None, "float32"):
        with pytest.raises(SetupError, match="the merge changed nothing"):
            merge(merge_settings(tmp_path, dtype=dtype))
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {".merging"}


def test_an_adapter_of_another_base_is_told(tmp_path: Path) -> None:
    """The warning is that of `check`; pickled weights count by the name of their folder."""
    base = make_base(tmp_path / "base", files=1)
    make_lora(tmp_path / "adapter", base_model_name_or_path="acme/other")
    warning = "the adapter was trained on 'acme/other', the base is 'base'"
    assert warning in merge(merge_settings(tmp_path)).warnings
    torch.save(load_file(base / "model.safetensors"), base / "pytorch_model.bin")
    (base / "model.safetensors").unlink()
    assert (
        warning
        in merge(merge_settings(tmp_path, output=tmp_path / "other", allow_pickle=True)).warnings
    )
    assert warning in json.loads((tmp_path / "other" / "merge.json").read_bytes())["warnings"]


def test_many_faint_changes_are_told_in_few_lines(tmp_path: Path) -> None:
    """The first five are named, and the others counted."""
    make_base(tmp_path / "base")
    make_lora(
        tmp_path / "adapter", ("q_proj", "k_proj", "v_proj", "o_proj", "down_proj"), lora_alpha=0.05
    )
    report = merge(merge_settings(tmp_path))
    assert len(report.warnings) == 6
    assert report.warnings[-1].startswith(
        "the same holds for 5 more tensors; --dtype float32 keeps the change"
    )
    assert merge(merge_settings(tmp_path, dtype="float32", overwrite=True)).warnings == ()


def test_a_faint_change_is_told(tmp_path: Path) -> None:
    """Each module whose change is below the rounding step is named."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter", lora_alpha=0.15)
    report = merge(merge_settings(tmp_path))
    assert 1 <= len(report.warnings) <= 6
    assert "model.layers.0.self_attn.v_proj.weight: the change" in " ".join(report.warnings)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float16"])
@pytest.mark.parametrize("float64", [False, True])
def test_what_is_not_finite_is_never_published(tmp_path: Path, dtype: str, float64: bool) -> None:
    """Sums may leave the range of every dtype; no verification is needed to see it."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.safetensors"
    tensors = making.load(file)
    name = next(name for name in tensors if "v_proj.lora_A" in name)
    for factor in (name, name.replace("lora_A", "lora_B")):
        tensors[factor] = making.stored(values(tensors[factor]) * np.float32(1e30))
    making.save(file, tensors)
    with pytest.raises(SetupError, match=r"numbers of .*v_proj\.weight infinite or NaN"):
        merge(merge_settings(tmp_path, dtype=dtype, float64=float64))
    assert not (tmp_path / "merged" / "config.json").exists()


def test_a_direction_of_a_row_of_zeros_is_never_published(tmp_path: Path) -> None:
    """DoRA divides by the row's length, as PEFT does, and makes NaN of it."""
    base = make_base(tmp_path / "base", files=1)
    tensors = making.load(base / "model.safetensors")
    module = next(name for name in tensors if name.endswith("q_proj.weight")).removesuffix(
        ".weight"
    )
    weight = values(tensors[f"{module}.weight"]).copy()
    weight[3] = 0
    tensors[f"{module}.weight"] = making.stored(weight)
    making.save(base / "model.safetensors", tensors)

    adapter = make_lora(tmp_path / "adapter", ("q_proj",), use_dora=True)
    factors = making.load(adapter / "adapter_model.safetensors")
    for name in [name for name in factors if "lora_B" in name]:
        b = values(factors[name]).copy()
        b[3] = 0
        factors[name] = making.stored(b)
        magnitude = making.stored(np.ones(len(b), np.float32))
        factors[name.replace("lora_B.weight", "lora_magnitude_vector")] = magnitude
    making.save(adapter / "adapter_model.safetensors", factors)
    with pytest.raises(SetupError, match=r"numbers of .*q_proj\.weight infinite or NaN"):
        merge(merge_settings(tmp_path))
