"""A merged model must answer like base and adapter in PEFT, up to rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from lorabay.errors import SetupError
from lorabay.merge.output import Output
from lorabay.merge.run import merge
from lorabay.merge.verify.verifier import read_probes
from tests import making
from tests.merge.bases import (
    HIDDEN,
    VOCABULARY,
    all_tensors,
    make_base,
    make_lora,
    merge_settings,
    random_tensor,
)

KINDS = ("BF16", "F32")


@pytest.mark.parametrize("dtype", KINDS)
def test_a_right_merge_passes(tmp_path: Path, dtype: str) -> None:
    """float32 is right to a hair; bfloat16 is as far off as PEFT's own merge, rounded."""
    make_base(tmp_path / "base", dtype=dtype), make_lora(tmp_path / "adapter")
    found = merge(merge_settings(tmp_path, verify=True)).verification
    assert found is not None
    assert found.probes == len(read_probes(None))
    assert found.merged.largest_logit == pytest.approx(
        found.rounding.largest_logit, abs=1e-5, rel=0.1
    )
    assert found.merged.top1_agreement > (0.99 if dtype == "F32" else 0.9)
    if dtype == "F32":
        assert found.merged.largest_logit < 1e-5
        assert found.merged.mean_kl < 1e-9


def test_a_tied_embedding_passes(tmp_path: Path) -> None:
    """PEFT's merge would move the tied head, too; ours is compared with base and adapter."""
    make_base(tmp_path / "base")
    tensors = {
        f"{making.PREFIX}model.embed_tokens.lora_embedding_A": random_tensor(
            (4, VOCABULARY), 1, "F32", 0.1
        ),
        f"{making.PREFIX}model.embed_tokens.lora_embedding_B": random_tensor(
            (HIDDEN, 4), 2, "F32", 0.1
        ),
    }
    making.make_adapter(
        tmp_path / "adapter", config=making.lora_config(("embed_tokens",)), tensors=tensors
    )
    report = merge(merge_settings(tmp_path, verify=True))
    assert report.untied
    assert report.verification is not None


@pytest.mark.parametrize("dtype", KINDS)
def test_a_wrong_merge_is_not_published(
    tmp_path: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One matrix that was not merged is enough."""
    base = make_base(tmp_path / "base", dtype=dtype)
    make_lora(tmp_path / "adapter")
    original = Output.find

    def spoiled(self: Output, name: str, size: int) -> Path | None:
        return original(self, name, size)

    monkeypatch.setattr(Output, "find", spoiled)
    monkeypatch.setattr("lorabay.merge.run.copy_side_files", lambda _, folder: spoil(base, folder))
    with pytest.raises(SetupError, match="answers otherwise than base and adapter"):
        merge(merge_settings(tmp_path, verify=True))
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {".merging"}


def test_interrupted_while_it_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is published; the next run keeps the files and verifies them."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    with monkeypatch.context() as patch:
        patch.setattr("lorabay.merge.verify.verifier.Verifier.run", stop)
        with pytest.raises(KeyboardInterrupt):
            merge(merge_settings(tmp_path, verify=True))
    assert {path.name for path in (tmp_path / "merged").iterdir()} == {".merging"}
    report = merge(merge_settings(tmp_path, verify=True))
    assert report.resumed == 2
    assert report.verification is not None


def stop(*_: object) -> None:
    raise KeyboardInterrupt


def spoil(base: Path, folder: Path) -> None:
    """Put one tensor of the base back into a merged model."""
    name = "model.layers.0.mlp.down_proj.weight"
    for path in folder.glob("*.safetensors"):
        tensors = making.load(path)
        if name in tensors:
            making.save(path, {**tensors, name: all_tensors(base)[name]})


def test_prompts_of_the_user_are_asked(tmp_path: Path) -> None:
    """They come after the shipped ones; a file without any is refused before the merge."""
    make_base(tmp_path / "base"), make_lora(tmp_path / "adapter")
    prompts = tmp_path / "prompts.txt"
    for spoiled, text in ((None, "cannot be read"), ("\n\n", "are empty")):
        prompts.write_text(spoiled) if spoiled else None
        with pytest.raises(SetupError, match=text):
            merge(merge_settings(tmp_path, verify=True, prompts=prompts))
    prompts.write_text("one\n\ntwo\n")
    found = merge(
        merge_settings(tmp_path, verify=True, prompts=prompts), Console(quiet=True)
    ).verification
    assert found is not None
    assert found.probes == len(read_probes(None)) + 2


def test_the_probes() -> None:
    """There are 32 in several languages, all different."""
    assert len(read_probes(None)) == len(set(read_probes(None))) == 32
    assert any(not text.isascii() for text in read_probes(None))
