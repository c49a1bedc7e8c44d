"""`lorabay check` judges each folder as a server would, regardless of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.cli import run
from lorabay.tools.check import check
from tests import making, mixtures, peft_adapters
from tests.base.quantised.layouts import quantise
from tests.files.test_impostors import POINTER
from tests.merge.bases import make_base


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "tiny-llama")


def test_each_folder_has_a_verdict(base: Path, tmp_path: Path) -> None:
    """A loop, a file and a missing folder are refused, and the good one is still servable."""
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_text("a file")
    folders = [tmp_path / name for name in ("loop", "file", "gone")]
    good = making.make_adapter(tmp_path / "good")
    *bad, last = check([*folders, good], base, max_rank=8)
    assert last.servable
    assert [{reason.code for reason in verdict.reasons} for verdict in bad] == [
        {"unreadable"},
        {"not_a_folder"},
        {"vanished"},
    ]


def test_a_bad_name_is_a_reason(base: Path, tmp_path: Path) -> None:
    """The weights are good, so there is a spec nevertheless."""
    (verdict,) = check([making.make_adapter(tmp_path / "größe")], base, max_rank=8)
    assert [reason.code for reason in verdict.reasons] == ["name_characters"]
    assert verdict.spec is not None
    assert not verdict.servable


def test_a_composite_is_checked_like_any_adapter(base: Path, tmp_path: Path) -> None:
    """It is built, and gets the verdict of a server."""
    for seed, name in enumerate(("one", "two")):
        making.make_adapter(tmp_path / name, tensors=making.lora_tensors(seed=seed))
    folder = tmp_path / "both"
    folder.mkdir()
    text = 'method = "cat"\n[[members]]\nadapter = "one"\n[[members]]\nadapter = "../two"\n'
    (folder / "composite.toml").write_text(text)
    (good,) = check([folder], base, max_rank=8)
    assert good.servable
    (small,) = check([folder], base, max_rank=7)
    assert [reason.code for reason in small.reasons] == ["rank_over_limit"]
    (folder / "composite.toml").write_text('[[members]]\nadapter = "three"')
    (bad,) = check([folder], base, max_rank=8)
    assert [reason.code for reason in bad.reasons] == ["member_missing"]


def test_what_the_engine_leaves_alone_is_a_reason(base: Path, tmp_path: Path) -> None:
    """It is asked once, about the base, and each folder is held against its answer."""
    asked: list[BaseShapes] = []

    def ask(shapes: BaseShapes) -> Adapted:
        asked.append(shapes)
        return Adapted({"model.layers.1.mlp.down_proj": "no layer"})

    good = making.make_adapter(tmp_path / "good")
    config, tensors = making.lora_config(("down_proj",)), making.lora_tensors(("down_proj",))
    bad = making.make_adapter(tmp_path / "bad", config=config, tensors=tensors)
    first, second = check([good, bad], base, max_rank=8, ask=ask)
    assert first.servable
    assert [reason.code for reason in second.reasons] == ["module_not_adapted"]
    assert "'model.layers.1.mlp.down_proj'" in second.reasons[0].text
    assert len(asked) == 1


def test_an_engine_that_was_not_asked_is_told(base: Path, tmp_path: Path) -> None:
    """The verdict then rests on the engine's options alone."""
    folder = making.make_adapter(tmp_path / "a")
    nobody = NotAsked("vLLM is not installed here")
    (verdict,) = check([folder], base, max_rank=8, ask=lambda shapes: nobody)
    assert verdict.servable
    assert verdict.as_dict()["remarks"] == [nobody.sentence]
    (narrow,) = check(
        [folder], base, max_rank=8, ask=lambda shapes: nobody, target_modules=("q_proj",)
    )
    assert [reason.code for reason in narrow.reasons] == ["module_not_adapted"]


def test_the_rules_are_those_of_a_server(base: Path, tmp_path: Path) -> None:
    """A server may refuse what was trained on another base."""
    config = making.lora_config(base_model_name_or_path="acme/other")
    folder = making.make_adapter(tmp_path / "a", config=config)
    (lenient,) = check([folder], base, max_rank=8)
    assert lenient.servable
    (strict,) = check([folder], base, max_rank=8, refuse_foreign_base=True)
    assert [reason.code for reason in strict.reasons] == ["foreign_base"]


def test_the_command(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 means that one is refused; brackets in a name are not markup."""
    good, bad = making.make_adapter(tmp_path / "good"), tmp_path / "[/b]"
    bad.mkdir(parents=True)
    assert run(["check", str(good), "--base", str(base), "--json", "--no-ask-engine"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["servable"]
    assert run(["check", str(good), str(bad), "--base", str(base), "--no-ask-engine"]) == 1
    assert "config_missing" in capsys.readouterr().out


def test_a_folder_that_looks_like_a_backup_is_refused_as_a_server_would(
    base: Path, tmp_path: Path
) -> None:
    """The adapter in it is good, so there is a spec nevertheless."""
    (verdict,) = check([making.make_adapter(tmp_path / "finance.old")], base, max_rank=8)
    assert [reason.code for reason in verdict.reasons] == ["backup_name"]
    assert verdict.spec is not None


def test_what_is_no_adapter_of_pefts_is_named(base: Path, tmp_path: Path) -> None:
    """Another trainer's folder, one with the adapter further down, a pickle, and a pointer in the
    weights' place each say what they are and what to do.
    """
    mlx = making.make_adapter(tmp_path / "mlx")
    (mlx / "adapter_model.safetensors").rename(mlx / "adapters.safetensors")
    making.make_adapter(tmp_path / "run" / "checkpoint-500")
    pickled = making.make_adapter(tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    pointer = making.make_adapter(tmp_path / "pointer")
    (pointer / "adapter_model.safetensors").write_bytes(POINTER)

    folders = [mlx, tmp_path / "run", pickled, pointer]
    verdicts = check(folders, base, max_rank=8)
    assert [[reason.code for reason in verdict.reasons] for verdict in verdicts] == [
        ["foreign_format"],
        ["adapter_nested"],
        ["pickle"],
        ["lfs_pointer"],
    ]
    words = ("lorabay convert", "checkpoint-500", "--allow-pickle", "git lfs pull")
    for verdict, word in zip(verdicts, words, strict=True):
        assert word in verdict.reasons[0].text


def test_what_a_folder_says_of_its_use_is_shown(base: Path, tmp_path: Path) -> None:
    """As a server will follow it; what is wrong with it refuses the folder."""
    folder = making.make_adapter(tmp_path / "good")
    (folder / "lorabay.toml").write_text("[sampling]\nseed = 7")
    (verdict,) = check([folder], base, max_rank=8)
    assert verdict.servable
    assert verdict.as_dict()["defaults"] == {"sampling": {"seed": {"value": 7, "enforced": False}}}
    (folder / "lorabay.toml").write_text("[sampling]\nseed = 0.5")
    (verdict,) = check([folder], base, max_rank=8)
    assert [reason.code for reason in verdict.reasons] == ["defaults_file"]
    assert not verdict.servable


def test_a_composite_says_itself_how_it_is_used(base: Path, tmp_path: Path) -> None:
    """Its members' files do not count."""
    making.make_adapter(tmp_path / "one")
    (tmp_path / "one" / "lorabay.toml").write_text('tags = ["one"]')
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "composite.toml").write_text('[[members]]\nadapter = "one"\n')
    (tmp_path / "both" / "lorabay.toml").write_text('tags = ["both"]')
    (verdict,) = check([tmp_path / "both"], base, max_rank=8)
    assert verdict.as_dict()["defaults"] == {"tags": ["both"]}


def test_experts_are_servable_where_the_engine_adapts_them(tmp_path: Path) -> None:
    """vLLM does so on a GPU; elsewhere the refusal says what to do."""
    mixture = mixtures.make_base("Qwen3-MoE", tmp_path / "mixture")
    made = peft_adapters.make(mixture, tmp_path / "experts", mixtures.on_experts)
    assert check([made.folder], mixture, max_rank=16, adapts_experts=True)[0].servable
    (verdict,) = check([made.folder], mixture, max_rank=16)
    assert [reason.code for reason in verdict.reasons] == ["module_not_adapted"]
    assert "lorabay merge" in verdict.reasons[0].text


def test_a_link_has_its_own_name(base: Path, tmp_path: Path) -> None:
    """A server calls the adapter as the link, not as what it leads to."""
    making.make_adapter(tmp_path / "run.old")
    (tmp_path / "bank").symlink_to("run.old")
    (good,) = check([tmp_path / "bank"], base, max_rank=8)
    assert good.servable
    making.make_adapter(tmp_path / "run")
    (tmp_path / "größe").symlink_to("run")
    (bad,) = check([tmp_path / "größe"], base, max_rank=8)
    assert [reason.code for reason in bad.reasons] == ["name_characters"]


def test_a_link_that_leads_away_is_remarked_on(base: Path, tmp_path: Path) -> None:
    """The hub's cache has such links; a server takes them with a setting, or copied as files."""
    cache, root = tmp_path / "cache", tmp_path / "adapters"
    making.make_adapter(cache / "snapshot")
    root.mkdir()
    (root / "bank").symlink_to(cache / "snapshot")
    (verdict,) = check([root / "bank"], base, max_rank=8)
    assert verdict.spec is not None
    assert "--allowed-roots" in verdict.remarks[0]
    (verdict,) = check([root / "bank"], base, max_rank=8, allowed_roots=(cache,))
    assert verdict.remarks == ()


def test_an_adapter_of_another_size_does_not_fit_a_packed_base(tmp_path: Path) -> None:
    """The base's files hide the shapes; a smaller adapter would fit into an engine's slots."""
    packed = make_base(tmp_path / "packed", files=1, dtype="F16")
    quantise(packed, "gptq")
    (good,) = check([making.make_adapter(tmp_path / "good")], packed, max_rank=8)
    assert good.servable, good.reasons

    tensors = making.lora_tensors()
    small = {
        name: making.stored(making.values(tensor)[: tensor.shape[0] // 2])
        if "lora_B" in name
        else tensor
        for name, tensor in tensors.items()
    }
    (bad,) = check([making.make_adapter(tmp_path / "bad", tensors=small)], packed, max_rank=8)
    assert {reason.code for reason in bad.reasons} == {"shape"}
