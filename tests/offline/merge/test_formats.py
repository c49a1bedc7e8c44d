"""Every format, trained for a few steps by PEFT, merged, loaded by transformers: it answers as PEFT's own model does.

On tiny models; `--whole-base` runs the same on the default base and 32 prompts, and prints a table.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch
from tests.offline.conftest import Prepared
from tests.offline.merge import trained
from tests.offline.merge.bases import merge_settings

from lorabay.errors import SetupError
from lorabay.offline.merge.command import merge

TOLERANCE = 2e-5
"""Of the largest logit: float32 sums in another order."""


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.tiny_llama(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.tiny_gpt2(tmp_path_factory.mktemp("gpt2") / "tiny")


def compare(name: str, config: trained.Config, base: Path, tmp_path: Path) -> tuple[float, float, str]:
    """Largest logit difference as a share of the largest logit, share of the same best tokens, and a row to print."""
    made = trained.train(name, config, base, tmp_path / "adapter")
    plain = torch.cat(trained.answer(trained.load(base), made.inputs))
    initial = tmp_path / "adapter" / "init"
    settings = merge_settings(tmp_path, base=base, dtype="float32", initial=initial if initial.exists() else None)
    merge(settings)
    ours = torch.cat(trained.answer(trained.load(tmp_path / "merged"), made.inputs))
    theirs = torch.cat(made.answers)
    assert not torch.allclose(theirs, plain, atol=1e-3)
    largest, best = float((ours - theirs).abs().max()), float((ours.argmax(-1) == theirs.argmax(-1)).float().mean())
    effect = float((theirs - plain).abs().max())
    return largest / float(theirs.abs().max()), best, f"| {name} | {effect:.2f} | {largest:.1e} | {best:.1%} |"


@pytest.mark.parametrize("name", trained.FORMATS)
def test_llama(name: str, llama: Path, tmp_path: Path) -> None:
    """Logits equal those of PEFT's model up to the order of float32 sums."""
    share, best, _ = compare(name, trained.FORMATS[name], llama, tmp_path)
    assert share < TOLERANCE
    assert best == 1


@pytest.mark.parametrize("name", ["PiSSA", "OLoRA"])
def test_what_the_start_left_of_the_base(name: str, llama: Path, tmp_path: Path) -> None:
    """Onto the residual base the adapter merges as it is, and both ways are verified; without either it is refused."""
    made = trained.train(name, trained.FORMATS[name], llama, tmp_path / "adapter")
    for flags in ({"base": tmp_path / "adapter" / "residual", "residual_base": True}, {"base": llama}):
        merge(merge_settings(tmp_path, dtype="float32", verify=True, overwrite=True, **flags))
        ours = torch.cat(trained.answer(trained.load(tmp_path / "merged"), made.inputs))
        torch.testing.assert_close(ours, torch.cat(made.answers), rtol=0, atol=1e-4)
    shutil.rmtree(tmp_path / "adapter" / "init")
    with pytest.raises(SetupError, match="init_lora_weights"):
        merge(merge_settings(tmp_path, base=llama, output=tmp_path / "other"))


@pytest.mark.parametrize(
    "name", ["LoRA, embeddings of a tied base", "LoRA, modules_to_save", "DoRA", "OFT", "LN tuning"]
)
def test_verification_knows_the_format(name: str, llama: Path, tmp_path: Path) -> None:
    """PEFT's merge of these, rounded to bfloat16, tells what is allowed; ours stays within it."""
    trained.train(name, trained.FORMATS[name], llama, tmp_path / "adapter")
    found = merge(merge_settings(tmp_path, base=llama, dtype="bfloat16", verify=True)).verification
    assert found is not None
    assert 0.5 < found.merged.largest_logit / found.rounding.largest_logit < 1.5


@pytest.mark.parametrize("name", trained.GPT2_FORMATS)
def test_gpt2(name: str, gpt2: Path, tmp_path: Path) -> None:
    """The same where weights lie the other way round and layers have biases."""
    share, best, _ = compare(name, trained.GPT2_FORMATS[name], gpt2, tmp_path)
    assert share < TOLERANCE
    assert best == 1


def test_the_default_base(
    request: pytest.FixtureRequest, prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the real base: plain LoRA always, every format with `--whole-base`, which also prints the table."""
    names = list(trained.FORMATS) if request.config.getoption("--whole-base") else ["LoRA"]
    for number, name in enumerate(names):
        folder = tmp_path / str(number)
        share, best, row = compare(name, trained.FORMATS[name], prepared.folder, folder)
        with capsys.disabled():
            sys.stdout.write(f"\n{row}" if len(names) > 1 else "")
        assert share < 1e-4, name
        assert best > 0.99, name
