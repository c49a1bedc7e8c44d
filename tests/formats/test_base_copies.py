"""A copy of the base's tensor changes nothing if it is the base's own, and is refused if not."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from lorabay.algebra.updates import LowRank, Replaced
from lorabay.base import weights as base_weights
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.composite.assembly import Assembly
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.files.adapter_folder import Limits
from lorabay.files.safetensors_header import TensorInfo
from lorabay.formats.base_copies import Comparison, dropped_copies
from lorabay.formats.interface import Source
from lorabay.formats.reading import AdapterUpdates, read_updates
from lorabay.reasons import Rejected
from lorabay.tools.check import check
from lorabay.tools.combine import combine
from lorabay.tools.convert import ConvertSettings, convert
from tests import peft_adapters
from tests.peft_adapters import ATTENTION, HIDDEN, VOCABULARY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Tensors = dict[str, torch.Tensor]

EMBEDDING, HEAD = "base_model.model.model.embed_tokens", "base_model.model.lm_head"
MERGE = "`lorabay merge ADAPTER -o MERGED`"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five rows of the base at a time, so that a table has several blocks and a part of one."""
    monkeypatch.setattr(base_weights, "_BLOCK_BYTES", 5 * HIDDEN * 4)


def saved(base: Path, folder: Path, **fields: object) -> Path:
    """An adapter that PEFT saved with the embedding and the head beside it."""
    config = lambda: peft_adapters.lora(**{"target_modules": ATTENTION} | fields)  # noqa: E731
    peft_adapters.make(base, folder, config, save_embedding_layers=True)
    return folder


def edit(folder: Path, change: Callable[[Tensors], object]) -> Path:
    tensors = load_file(folder / "adapter_model.safetensors")
    change(tensors)
    save_file({name: value.contiguous() for name, value in tensors.items()},
              folder / "adapter_model.safetensors")  # fmt: skip
    return folder


def every_copy(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Tensors], object]:
    def edited(tensors: Tensors) -> None:
        for name in tensors:
            if ".lora_" not in name:
                tensors[name] = change(tensors[name])

    return edited


def checks(base: Path) -> Checks:
    return Checks(BaseShapes.read(base), max_rank=16, base_weights=BaseWeights.open(base))


def served(folder: Path, base: Path) -> AdapterSpec:
    spec = validate(folder, checks(base))
    assert isinstance(spec, AdapterSpec), spec
    return spec


def refused(folder: Path, base: Path) -> Rejected:
    result = validate(folder, checks(base))
    assert isinstance(result, Rejected), result
    return result


def renamed(tensors: Tensors, old: str, new: str) -> None:
    tensors[new] = tensors.pop(old)


COPIES: dict[str, Callable[[Tensors], object]] = {
    "as PEFT saves them": lambda tensors: None,
    "rounded": every_copy(lambda copy: copy.to(torch.bfloat16)),
    "rounded to half": every_copy(lambda copy: copy.to(torch.float16)),
    "loaded in bfloat16, saved in float32": every_copy(
        lambda copy: copy.to(torch.bfloat16).to(torch.float32)
    ),
    "loaded in half, saved in bfloat16": every_copy(
        lambda copy: copy.to(torch.float16).to(torch.bfloat16)
    ),
    "without the padding": every_copy(lambda copy: copy[:-3]),
    "of the embedding alone, without the padding": lambda tensors: (
        tensors.pop(f"{HEAD}.weight"),
        tensors.update({f"{EMBEDDING}.weight": tensors[f"{EMBEDDING}.weight"][:-3]}),
    ),
    "as a module to save": lambda tensors: renamed(
        tensors, f"{HEAD}.weight", f"{HEAD}.modules_to_save.weight"
    ),
    "beside what older models compute": lambda tensors: tensors.update(
        {"base_model.model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    ),
    "beside its old values": lambda tensors: tensors.update(
        {f"{HEAD}.original_module.weight": tensors[f"{HEAD}.weight"].clone()}
    ),
    "as a base layer": lambda tensors: renamed(
        tensors, f"{EMBEDDING}.weight", f"{EMBEDDING}.base_layer.weight"
    ),
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_copies_that_equal_the_bases_are_left_out(
    change: Callable[[Tensors], object], llama: Path, tmp_path: Path
) -> None:
    """The version is that of the adapter without them, and a warning names what was left out."""
    folder = edit(saved(llama, tmp_path / "a"), change)
    spec = served(folder, llama)
    assert "copies of the base's own tensors" in spec.warnings[0]
    assert "'model.embed_tokens.weight'" in spec.warnings[0]

    def without(tensors: Tensors) -> None:
        for name in [name for name in tensors if ".lora_" not in name]:
            del tensors[name]

    plain = served(edit(folder, without), llama)
    assert (spec.digest, plain.warnings) == (plain.digest, ())


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES)
def test_tools_leave_them_out_too(
    change: Callable[[Tensors], object], llama: Path, tmp_path: Path
) -> None:
    """Convert and combine read as a server does."""
    folder = edit(saved(llama, tmp_path / "adapters" / "one"), change)
    report = convert(folder, llama, tmp_path / "converted", ConvertSettings())
    assert report.exact
    assert {module.module.rpartition(".")[2] for module in report.modules} == set(ATTENTION)
    assert any("left out" in warning for warning in report.warnings)

    both = tmp_path / "adapters" / "both"
    both.mkdir()
    (both / "composite.toml").write_text('method = "cat"\n[[members]]\nadapter = "one"\n')
    (tmp_path / "combined").mkdir()
    shapes, weights = BaseShapes.read(llama), BaseWeights.open(llama)
    assembly = Assembly(shapes, (both.parent.resolve(),), Limits(), weights=weights)
    assert assembly.take(both, tmp_path / "combined") is None


def test_modules_to_save_that_nobody_changed_are_left_out(llama: Path, tmp_path: Path) -> None:
    """The config says that they were to be trained; what counts is what was saved."""
    with quiet_transformers():
        model = peft.get_peft_model(
            LlamaForCausalLM.from_pretrained(llama, dtype=torch.float32),
            peft_adapters.lora(target_modules=ATTENTION, modules_to_save=["lm_head", "model.norm"]),
        )
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data.normal_()
        model.save_pretrained(tmp_path / "a")
    (warning,) = served(tmp_path / "a", llama).warnings
    assert "'lm_head.weight', 'model.norm.weight'" in warning

    edit(tmp_path / "a", lambda tensors: tensors[f"{HEAD}.weight"].add_(1))
    result = refused(tmp_path / "a", llama)
    assert result.codes == {"modules_to_save"}
    assert "first in row 0" in result.line
    edit(tmp_path / "a", lambda tensors: tensors.pop(f"{HEAD}.weight"))
    assert refused(tmp_path / "a", llama).codes == {"modules_to_save"}


def test_the_head_of_a_tied_base_is_its_embedding(tmp_path: Path) -> None:
    """The base's files hold it under the embedding's name only."""
    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    folder = saved(base, tmp_path / "a")
    embedding = load_file(base / "model.safetensors")["model.embed_tokens.weight"]
    edit(folder, lambda tensors: tensors.update({f"{HEAD}.weight": embedding.clone()}))
    assert "'lm_head.weight'" in served(folder, base).warnings[0]

    edit(folder, lambda tensors: tensors[f"{HEAD}.weight"][7].add_(1))
    assert "first in row 7" in refused(folder, base).line


def test_new_tokens_in_spare_rows_are_seen(llama: Path, tmp_path: Path) -> None:
    """Their rows were initialised before the training: beside the base's own, LoRA is wrong."""
    folder = saved(llama, tmp_path / "a", target_modules=["embed_tokens", "q_proj"])
    assert "embed_tokens" in served(folder, llama).warnings[0]

    copy = f"{EMBEDDING}.base_layer.weight"
    edit(folder, lambda tensors: tensors[copy][-2:].normal_())
    (reason,) = refused(folder, llama).reasons
    assert reason.code == "base_copy"
    assert f"first in row {VOCABULARY - 2}" in reason.text
    assert MERGE in reason.text
    with pytest.raises(SetupError, match=f"first in row {VOCABULARY - 2}"):
        convert(folder, llama, tmp_path / "converted", ConvertSettings())


def test_a_member_whose_copy_was_changed_is_refused(llama: Path, tmp_path: Path) -> None:
    """By the server that builds the composite and by `lorabay combine`, with the member's name."""
    root = tmp_path / "adapters"
    folder = saved(llama, root / "one", target_modules=["embed_tokens", "q_proj"])
    saved(llama, root / "two", target_modules=["q_proj"])
    both = root / "both"
    both.mkdir()
    (both / "composite.toml").write_text(
        'method = "cat"\n[[members]]\nadapter = "one"\n[[members]]\nadapter = "two"\n'
    )
    combine(both, llama, tmp_path / "good")

    edit(folder, lambda tensors: tensors[f"{EMBEDDING}.base_layer.weight"][-2:].normal_())
    (verdict,) = check([both], llama, max_rank=16)
    (reason,) = verdict.reasons
    assert reason.code == "base_copy"
    assert "'one'" in reason.text
    assert f"first in row {VOCABULARY - 2}" in reason.text
    with pytest.raises(SetupError, match=f"'one'.*first in row {VOCABULARY - 2}"):
        combine(both, llama, tmp_path / "bad")
    assert not (tmp_path / "bad").exists()


@pytest.mark.parametrize("targets", [ATTENTION, ["embed_tokens", "q_proj"]])
def test_a_larger_vocabulary_is_refused_with_the_way_out(
    targets: list[str], llama: Path, tmp_path: Path
) -> None:
    """PEFT saves both tables by itself when they were resized."""
    with quiet_transformers():
        model = LlamaForCausalLM.from_pretrained(llama, dtype=torch.float32)
        model.resize_token_embeddings(VOCABULARY + 6)
        wrapped = peft.get_peft_model(model, peft_adapters.lora(target_modules=targets))
        wrapped.save_pretrained(tmp_path / "a", save_embedding_layers=True)
    result = refused(tmp_path / "a", llama)
    assert result.codes == {"vocabulary"}
    texts = [
        reason.text for reason in result.reasons if "has 70 rows, the base's 64" in reason.text
    ]
    assert texts
    assert all(MERGE in text for text in texts)


def test_fewer_rows_that_differ_are_refused(llama: Path, tmp_path: Path) -> None:
    """They are no cut of the base's table."""
    folder = edit(saved(llama, tmp_path / "a"), every_copy(lambda copy: copy[3:]))
    result = refused(folder, llama)
    assert result.codes == {"modules_to_save"}
    assert all("first in row 0" in reason.text for reason in result.reasons)


def test_without_the_bases_values_only_pefts_mark_tells_a_copy(llama: Path, tmp_path: Path) -> None:
    """And the warning says that nobody has compared it."""
    shapes = BaseShapes.read(llama)
    marked = saved(llama, tmp_path / "a", target_modules=["embed_tokens", "q_proj"])
    spec = validate(marked, Checks(shapes, max_rank=16))
    assert isinstance(spec, AdapterSpec), spec
    assert "were not compared" in spec.warnings[0]

    result = validate(saved(llama, tmp_path / "b"), Checks(shapes, max_rank=16))
    assert isinstance(result, Rejected)
    assert "weights are not at hand" in result.line


def test_a_packed_tensor_cannot_be_compared(llama: Path, tmp_path: Path) -> None:
    """The reason says why, and the way out."""
    shapes, packed = BaseShapes.read(llama), BaseWeights({}, "packed")
    result = validate(saved(llama, tmp_path / "a"), Checks(shapes, 16, base_weights=packed))
    assert isinstance(result, Rejected)
    assert "cannot be compared with the base's: the base stores no" in result.line


def test_a_copy_that_cannot_be_read_is_a_reason(llama: Path) -> None:
    """The reader's own message is kept."""

    def unreadable(info: TensorInfo) -> object:
        raise SetupError("the adapter is gone")

    size = VOCABULARY * HIDDEN * 4
    tensor = TensorInfo(f"{HEAD}.weight", "F32", (VOCABULARY, HIDDEN), 0, size)
    source = Source({}, (tensor,), unreadable)  # type: ignore[arg-type]
    comparison = Comparison(BaseShapes.read(llama), BaseWeights.open(llama))
    difference = comparison.difference(tensor, "lm_head.weight", source)
    assert difference is not None
    assert difference.text == "the adapter is gone"


def test_few_rows_are_in_memory_at_a_time(llama: Path, tmp_path: Path) -> None:
    """Neither side is ever read as a whole."""
    counts: list[int] = []
    folder = saved(llama, tmp_path / "a")
    values = load_file(folder / "adapter_model.safetensors")[f"{HEAD}.weight"].numpy()

    class Rows:
        def __init__(self, info: TensorInfo) -> None:
            row = values[0].nbytes
            counts.append(info.shape[0])
            self.own = values[info.start // row : info.end // row]

        def as_float32(self) -> np.ndarray:  # type: ignore[type-arg]
            return self.own

    tensor = TensorInfo(f"{HEAD}.weight", "F32", values.shape, 0, values.nbytes)
    source = Source({}, (tensor,), Rows)  # type: ignore[arg-type]
    comparison = Comparison(BaseShapes.read(llama), BaseWeights.open(llama))
    assert comparison.difference(tensor, "lm_head.weight", source) is None
    assert (max(counts), sum(counts)) == (5, VOCABULARY)


def test_merging_keeps_what_was_saved(llama: Path, tmp_path: Path) -> None:
    """Without a comparison every whole tensor replaces the base's, as in PEFT's own merge."""
    found = read_updates(saved(llama, tmp_path / "a"), BaseShapes.read(llama))
    assert isinstance(found, AdapterUpdates)
    assert {"model.embed_tokens.weight", "lm_head.weight"} <= found.updates.keys()


def test_modules_that_were_trained_as_a_whole_are_no_copies() -> None:
    """They replace the base's values; a name without other updates goes with its marked copy."""
    values = np.ones((2, 2), np.float32)
    trained, copy = Replaced(lambda: values), Replaced(lambda: values, is_marked_copy=True)
    product = LowRank(lambda: values, lambda: values, 2, 1.0)
    assert dropped_copies({"a": (trained,), "b": (copy,), "c": (copy, product)}) == {
        "a": (trained,),
        "c": (product,),
    }


def test_a_model_under_the_adapters_name_is_told(llama: Path, tmp_path: Path) -> None:
    """Its tensors are all copies, and nothing is left that would be served."""
    folder = saved(llama, tmp_path / "a")
    shutil.copy(llama / "model.safetensors", folder / "adapter_model.safetensors")
    result = refused(folder, llama)
    assert "whole_model" in result.codes
    assert "save_pretrained" in result.line
