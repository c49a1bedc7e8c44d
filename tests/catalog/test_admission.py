"""Good folders pass, bad ones are refused with all their reasons."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest

from lorabay.base.tokenizer import BaseTokenizer
from lorabay.catalog import admission
from lorabay.catalog.adapted import Adapted
from lorabay.catalog.admission import Checks, smallest_limit, validate
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec
from lorabay.files.adapter_folder import Limits, Unreadable
from lorabay.reasons import Rejected
from tests import bad_folders, making
from tests.bad_folders import BAD_FOLDERS
from tests.tokenizers import save_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.base.shapes import BaseShapes
    from lorabay.catalog.store import Store


def accepted(folder: Path, checks: Checks) -> AdapterSpec:
    result = validate(folder, checks)
    assert isinstance(result, AdapterSpec), result
    return result


def refused(folder: Path, checks: Checks) -> Rejected:
    result = validate(folder, checks)
    assert isinstance(result, Rejected), result
    return result


def test_a_good_folder_gives_its_spec(tmp_path: Path, checks: Checks) -> None:
    """The spec says what an operator put into the folder."""
    spec = accepted(
        making.make_adapter(tmp_path / "finance", tensors=making.lora_tensors(dtype="BF16")), checks
    )
    assert (spec.format, spec.rank, spec.alpha, spec.dtype) == ("lora", 4, 8.0, "bfloat16")
    assert (spec.modules, spec.base_model, spec.warnings) == (
        ("q_proj", "v_proj"),
        making.BASE_NAME,
        (),
    )


@pytest.mark.parametrize(("spoil", "codes"), BAD_FOLDERS.values(), ids=BAD_FOLDERS)
def test_each_bad_folder_is_refused_with_its_reasons(
    tmp_path: Path, checks: Checks, store: Store, spoil: bad_folders.Spoil, codes: set[str]
) -> None:
    """Every kind of bad folder is refused with all its reasons and never reaches the store."""
    folder = making.make_adapter(tmp_path / "adapters" / "finance")
    spoil(folder)
    result = store.ingest(folder, AdapterName("finance"), checks)
    assert isinstance(result, Rejected)
    assert result.codes == codes
    assert not result.transient
    assert all(reason.text.isascii() and reason.text.isprintable() for reason in result.reasons)
    assert all(len(reason.text) < 500 for reason in result.reasons)
    assert store.versions() == ()
    if codes != {"link_outside"}:
        assert refused(folder, checks).codes == codes


def test_there_are_enough_kinds_of_bad_folders() -> None:
    """The table cannot shrink unnoticed."""
    assert len(BAD_FOLDERS) >= 60


@pytest.mark.parametrize(("rank", "limit"), [(17, 32), (64, 64), (300, 320), (321, 512)])
def test_a_rank_over_the_limit_names_the_limit_that_would_fit(
    tmp_path: Path, checks: Checks, rank: int, limit: int
) -> None:
    """The operator reads the exact engine option to set."""
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(r=rank), tensors=making.lora_tensors(rank=rank)
    )
    (reason,) = refused(folder, checks).reasons
    assert f"start with --engine max_lora_rank={limit}, or make it smaller" in reason.text
    assert accepted(folder, replace(checks, max_rank=limit)).rank == rank
    assert smallest_limit(513) is None


def test_an_adapter_that_changes_more_than_the_engine_adapts_is_refused(
    tmp_path: Path, checks: Checks
) -> None:
    """vLLM would drop the rest of it without a word; each module is named once, however many layers
    it has.
    """
    folder = making.make_adapter(tmp_path / "a")
    one = refused(folder, replace(checks, target_modules=("v_proj", "o_proj")))
    (reason,) = one.reasons
    assert reason.code == "module_not_adapted"
    assert "changes 'q_proj'" in reason.text
    none = refused(folder, replace(checks, target_modules=()))
    assert [text.split("'")[1] for text in none.sentences] == ["q_proj", "v_proj"]
    assert accepted(folder, replace(checks, target_modules=("v_proj", "q_proj", "o_proj")))


def test_a_name_that_stands_for_several_modules_does_not_stand_for_one(
    tmp_path: Path, checks: Checks
) -> None:
    """Only the model knows what `qkv_proj` packs: the operator names what adapters name, which vLLM
    takes as well.
    """
    folder = making.make_adapter(tmp_path / "a")
    assert refused(folder, replace(checks, target_modules=("qkv_proj",))).codes == {
        "module_not_adapted"
    }


def test_what_the_engine_says_of_the_modules_decides(tmp_path: Path, checks: Checks) -> None:
    """Its answer is about each module by its whole name, and better than what options tell of last
    parts: an engine that packs q, k and v adapts all three where one is named.
    """
    folder = making.make_adapter(tmp_path / "a")
    first = "model.layers.0.self_attn.q_proj"
    says = replace(checks, target_modules=("v_proj",), adapted=Adapted({first: "no layer"}))
    (reason,) = refused(folder, says).reasons
    assert reason.code == "module_not_adapted"
    assert first in reason.text
    assert reason.text.endswith("no layer")
    assert accepted(folder, replace(says, adapted=Adapted({"lm_head": "no layer"})))
    assert says.identity != replace(says, adapted=None).identity


def test_other_adapted_modules_are_another_judgement(checks: Checks) -> None:
    """A folder that was refused for them is read again when the engine adapts others."""
    targets: list[tuple[str, ...] | None] = [None, (), ("q_proj",), ("q_proj", "v_proj")]
    identities = {replace(checks, target_modules=each).identity for each in targets}
    assert len(identities) == len(targets)
    reordered = replace(checks, target_modules=("v_proj", "q_proj"))
    assert reordered.identity in identities


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        (making.BASE_NAME, False),
        ("/home/someone/models/Tiny-Llama/", False),
        ("unsloth/tiny-llama-unsloth-bnb-4bit", False),
        ("acme/tiny-llama-instruct", True),
        ("mistral", True),
    ],
)
def test_another_base_is_a_warning_or_a_refusal_by_choice(
    tmp_path: Path, checks: Checks, name: str, foreign: bool
) -> None:
    """Another base is a warning, or a refusal if asked for; a copy of the same base is neither."""
    folder = making.make_adapter(
        tmp_path / "a", config=making.lora_config(base_model_name_or_path=name)
    )
    assert (
        any("was trained on" in warning for warning in accepted(folder, checks).warnings) is foreign
    )
    strict = replace(checks, refuse_foreign_base=True)
    if foreign:
        assert refused(folder, strict).codes == {"foreign_base"}
    else:
        assert accepted(folder, strict)


def test_a_file_over_its_limit_is_not_read(tmp_path: Path, checks: Checks) -> None:
    """A weights file or a header beyond the limits is refused by its size alone."""
    folder = making.make_adapter(tmp_path / "a")
    assert refused(folder, replace(checks, limits=Limits(weights_bytes=1000))).codes == {
        "file_too_large"
    }
    assert refused(folder, replace(checks, limits=Limits(header_bytes=100))).codes == {
        "header_too_large"
    }


def test_a_folder_that_is_gone_may_come_back(tmp_path: Path, checks: Checks) -> None:
    """The reason of a vanished folder asks for another look."""
    result = refused(tmp_path / "gone", checks)
    assert result.codes == {"vanished"}
    assert result.transient


def test_a_folder_without_permission_is_a_reason(tmp_path: Path, checks: Checks) -> None:
    """A folder that the server's user may not read is refused, not a crash."""
    folder = making.make_adapter(tmp_path / "a")
    folder.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        assert refused(folder, checks).codes == {"unreadable"}
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


def test_the_identity_of_checks_changes_with_every_part(base: BaseShapes) -> None:
    """A remembered verdict is void when the base, the rank limit or another check has changed."""
    checks = Checks(base, 16)
    others = [
        Checks(replace(base, shapes={}), 16),
        Checks(base, 32),
        Checks(base, 16, Limits(config_bytes=1)),
        Checks(base, 16, refuse_foreign_base=True),
    ]
    assert len({checks.identity, *(other.identity for other in others)}) == 5
    assert Checks(base, 16).identity == checks.identity


def test_a_value_that_cannot_be_read_at_once_is_a_reason(
    checks: Checks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some formats read a few values to know their updates, and a disk may fail there."""

    class Failing:
        def updates(self, source: object, base: object) -> NoReturn:
            raise Unreadable("read_failed", "the disk failed")

    entry = replace(admission.FORMATS["ADALORA"], module=Failing())
    monkeypatch.setitem(admission.FORMATS, "ADALORA", entry)
    config = making.lora_config(peft_type="ADALORA")
    assert refused(making.make_adapter(tmp_path / "a", config=config), checks).codes == {
        "read_failed"
    }


def test_the_identity_of_checks_changes_with_the_revision(
    checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What older code stored, perhaps with wrong numbers, is read again."""
    before = checks.identity
    monkeypatch.setattr(admission, "REVISION", admission.REVISION + 1)
    assert checks.identity != before


def test_hostile_sizes_cost_little(tmp_path: Path, base: BaseShapes) -> None:
    """Tens of thousands of tensors, targets and patterns are refused without a pause."""
    tensors = {
        f"{'a.' * 60}{number}.lora_A.weight": making.stored(np.ones((1, 1)))
        for number in range(20_000)
    }
    names = [f"layer.{number}.x" for number in range(20_000)]
    config = making.lora_config(target_modules=names, alpha_pattern=dict.fromkeys(names, 1))
    folder = making.make_adapter(tmp_path / "a", config=config, tensors=tensors)
    result = refused(folder, Checks(base, 16))
    assert result.codes == {"module_not_in_base"}
    assert len(result.reasons) < 10


def test_what_a_folder_says_of_its_use_is_judged_beside_its_weights(
    tmp_path: Path, checks: Checks
) -> None:
    """All reasons come at once, in whichever file; a good file changes the digest alone."""
    folder = making.make_adapter(tmp_path / "a")
    plain = accepted(folder, checks)
    (folder / "lorabay.toml").write_text('tags = ["a"]')
    spec = accepted(folder, checks)
    assert spec.weights_digest == plain.digest == plain.weights_digest
    assert spec.digest != plain.digest
    assert replace(spec, digest=plain.digest) == plain

    making.make_adapter(tmp_path / "b", config=making.lora_config(r=3))
    (tmp_path / "b" / "lorabay.toml").write_text("x = 1")
    (tmp_path / "b" / "chat_template.jinja").write_text("{% if %}")
    assert {"rank", "defaults_file", "chat_template"} <= refused(tmp_path / "b", checks).codes


def test_what_is_not_used_of_a_tokenizer_is_a_warning(tmp_path: Path, checks: Checks) -> None:
    """Beside those of the weights; the base's own tokenizer is none."""
    base = BaseTokenizer(save_tokenizer(tmp_path / "base"))
    folder = making.make_adapter(tmp_path / "a")
    save_tokenizer(folder)
    held_against = replace(checks, tokenizer=base)
    assert accepted(folder, held_against).warnings == ()
    save_tokenizer(folder, added=("<|new|>",))
    (warning,) = accepted(folder, held_against).warnings
    assert "<|new|>" in warning


def test_a_base_with_another_tokenizer_is_another_judgement(tmp_path: Path, checks: Checks) -> None:
    """An adapter's template may be the base's no longer."""
    one = BaseTokenizer(save_tokenizer(tmp_path / "one"))
    two = BaseTokenizer(save_tokenizer(tmp_path / "two", template="{{ messages }}"))
    judged = {replace(checks, tokenizer=base).identity for base in (BaseTokenizer(), one, two)}
    assert len(judged) == 3
    assert replace(checks, tokenizer=BaseTokenizer()).identity == checks.identity
