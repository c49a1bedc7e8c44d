"""Every format, trained by PEFT and merged, answers like PEFT's own model.

Tiny models are used, and the default base for plain LoRA. `--whole-base` merges every format on the
default base; `--format-steps` trains longer. The figures are printed at the end as a table.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from safetensors.torch import save_file

from lorabay.errors import SetupError
from lorabay.merge.run import merge
from tests import peft_adapters
from tests.fixtures.models import Prepared
from tests.merge import trained
from tests.merge.bases import merge_settings

TOLERANCE = 2e-5
"""Of the largest logit: float32 sums in another order."""
EFFECT = 1e-3
"""A logit that the adapter moves by less would prove nothing."""
HEADER = (
    "| format | base | effect on logits | largest logit difference | of the largest logit "
    "| same best token |",
    "|---|---|---|---|---|---|",
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "format_of_the_real_base" in metafunc.fixturenames:
        every = metafunc.config.getoption("--whole-base")
        metafunc.parametrize(
            "format_of_the_real_base", list(trained.FORMATS) if every else ["LoRA"]
        )


@dataclass(frozen=True)
class Comparison:
    """Our merged model against PEFT's. `effect` is the most by which the adapter moves a logit."""

    effect: float
    difference: float
    largest: float
    best: float

    @property
    def share(self) -> float:
        return self.difference / self.largest

    def row(self, name: str, base: str) -> str:
        figures = (f"{self.effect:.2f}", f"{self.difference:.1e}", f"{self.share:.1e}")
        return f"| {name} | {base} | {' | '.join(figures)} | {self.best:.2%} |"


@pytest.fixture(scope="module")
def table(figures: list[str]) -> list[str]:
    figures += HEADER
    return figures


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.tiny_llama(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.tiny_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny")


def compare(
    name: str, config: trained.Config, base: Path, tmp_path: Path, **training: Any
) -> Comparison:
    """Train, merge in float32, load the result with transformers, and ask both models the same."""
    made = trained.train(name, config, base, tmp_path / "adapter", **training)
    initial = tmp_path / "adapter" / "init"
    merge(
        merge_settings(
            tmp_path, base=base, dtype="float32", initial=initial if initial.exists() else None
        )
    )
    ours = torch.cat(trained.answer(trained.load(tmp_path / "merged"), made.inputs))
    theirs, plain = torch.cat(made.answers), answers_of(base)
    return Comparison(
        effect=float((theirs - plain).abs().max()),
        difference=float((ours - theirs).abs().max()),
        largest=float(theirs.abs().max()),
        best=float((ours.argmax(-1) == theirs.argmax(-1)).float().mean()),
    )


@cache
def answers_of(base: Path) -> torch.Tensor:
    return torch.cat(trained.answer(trained.load(base), trained.inputs_for(base, trained.PROMPTS)))


@pytest.mark.parametrize("name", trained.FORMATS)
def test_llama(name: str, llama: Path, tmp_path: Path) -> None:
    """Logits equal those of PEFT's model up to the order of float32 sums."""
    found = compare(name, trained.FORMATS[name], llama, tmp_path)
    assert found.effect > EFFECT
    assert found.share < TOLERANCE
    assert found.best == 1


@pytest.mark.parametrize("name", ["PiSSA", "PiSSA with DoRA", "OLoRA", "CorDA"])
def test_what_the_start_left_of_the_base(name: str, llama: Path, tmp_path: Path) -> None:
    """It merges into the residual base, or with its initial adapter, and not without both."""
    made = trained.train(name, trained.FORMATS[name], llama, tmp_path / "adapter")
    for flags in (
        {"base": tmp_path / "adapter" / "residual", "residual_base": True},
        {"base": llama},
    ):
        merge(merge_settings(tmp_path, dtype="float32", verify=True, overwrite=True, **flags))
        ours = torch.cat(trained.answer(trained.load(tmp_path / "merged"), made.inputs))
        torch.testing.assert_close(ours, torch.cat(made.answers), rtol=0, atol=1e-4)
    shutil.rmtree(tmp_path / "adapter" / "init")
    with pytest.raises(SetupError, match="init_lora_weights"):
        merge(merge_settings(tmp_path, base=llama, output=tmp_path / "other"))


@pytest.mark.parametrize(
    "name",
    [
        *(
            "LoRA, embeddings of a tied base",
            "LoRA, modules_to_save",
            "DoRA",
            "DoRA, embeddings and linear layers",
        ),
        *("OFT", "OFT, modules_to_save", "LN tuning", "LoRA, ensure_weight_tying"),
    ],
)
def test_verification_knows_the_format(name: str, llama: Path, tmp_path: Path) -> None:
    """PEFT's merge, rounded to bfloat16, sets the allowed difference, and ours stays within it."""
    trained.train(name, trained.FORMATS[name], llama, tmp_path / "adapter")
    found = merge(merge_settings(tmp_path, base=llama, dtype="bfloat16", verify=True)).verification
    assert found is not None
    assert 0.5 < found.merged.largest_logit / found.rounding.largest_logit < 1.5


@pytest.mark.parametrize(
    "config", [peft.OFTConfig(r=4, oft_block_size=0), peft.BOFTConfig(), peft.HRAConfig()]
)
def test_saved_biases_beside_layers_of_peft(config: peft.PeftConfig, tmp_path: Path) -> None:
    """Saved biases are merged beside the layers; they were once refused too late."""
    base = peft_adapters.make_base(tmp_path / "base", bias=True)
    config.task_type, config.target_modules, config.bias = "CAUSAL_LM", {"q_proj", "v_proj"}, "all"
    made = peft_adapters.make(base, tmp_path / "adapter", lambda: config)
    merge(merge_settings(tmp_path, dtype="float32"))
    merged, expected = trained.load(tmp_path / "merged").state_dict(), made.merged()
    for name in ("q_proj.weight", "q_proj.bias", "k_proj.bias"):
        whole = f"model.layers.1.self_attn.{name}"
        torch.testing.assert_close(merged[whole], expected[whole], rtol=1e-5, atol=1e-5)


def test_a_changed_copy_beside_lora_on_the_embedding(tmp_path: Path) -> None:
    """New tokens in spare rows: PEFT's model adds its factors to the copy, and so does a merge."""
    base = peft_adapters.make_base(tmp_path / "base")
    folder = peft_adapters.make(
        base,
        tmp_path / "adapter",
        lambda: peft_adapters.lora(target_modules=["embed_tokens", "q_proj"]),
        save_embedding_layers=True,
    ).folder
    tensors = dict(peft_adapters.stored(folder))
    (copy,) = [name for name in tensors if name.endswith("embed_tokens.base_layer.weight")]
    tensors[copy][-2:] = 5
    save_file(tensors, folder / "adapter_model.safetensors")

    report = merge(merge_settings(tmp_path, dtype="float32", verify=True))
    assert report.verification is not None
    merged = trained.load(tmp_path / "merged").state_dict()
    for name, value in peft_adapters.loaded(base, folder).merged().items():
        torch.testing.assert_close(merged[name], value, rtol=1e-5, atol=2e-6)

    embedding = "model.embed_tokens.weight"
    changes = merged[embedding] - trained.load(base).state_dict()[embedding]
    assert changes[-2:].mean() > 4
    assert changes[:-2].any()


@pytest.mark.parametrize("name", trained.GPT2_FORMATS)
def test_gpt2(name: str, gpt2: Path, tmp_path: Path, table: list[str]) -> None:
    """Weights that are stored transposed, and biases, are merged as well."""
    found = compare(name, trained.GPT2_FORMATS[name], gpt2, tmp_path)
    table.append(found.row(name, "tiny GPT-2"))
    assert found.effect > EFFECT
    assert found.share < TOLERANCE
    assert found.best == 1


@pytest.mark.parametrize("alike", trained.NAMED_ALIKE)
@pytest.mark.parametrize("kind", [peft.LoraConfig, peft.HRAConfig])
def test_layers_that_are_only_named_like_gpt2s(kind: type, alike: str, tmp_path: Path) -> None:
    """They are stored as linear layers; they were once refused, or merged transposed if square."""
    base = trained.tiny_alike(alike, tmp_path / "base")
    found = compare(alike, trained.of(kind, ["c_fc", "c_proj"], r=4), base, tmp_path)
    assert found.effect > EFFECT
    assert found.share < TOLERANCE
    assert found.best == 1


@pytest.mark.timeout(900)
def test_the_default_base(
    format_of_the_real_base: str,
    prepared: Prepared,
    tmp_path: Path,
    table: list[str],
    pytestconfig: pytest.Config,
) -> None:
    """Logits are equal on the real base, with `--whole-base` for each format."""
    name = format_of_the_real_base
    training = {"steps": pytestconfig.getoption("--format-steps"), "rate": trained.GENTLE_RATE}
    try:
        found = compare(name, trained.FORMATS[name], prepared.folder, tmp_path, **training)
    finally:
        shutil.rmtree(tmp_path)  # all formats together would fill a disk
    table.append(found.row(name, prepared.folder.name))
    assert found.effect > EFFECT
    assert found.share < 1e-4
    assert found.best > 0.99
