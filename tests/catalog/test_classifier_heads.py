"""Adapters of classifiers, as PEFT saves them: with a head that it trained as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.adapted import Adapted
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.classifier_heads import head_notes, head_products
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import AdapterSpec, Version
from lorabay.reasons import Rejected
from tests.catalog.composites import make_composite
from tests.classifiers import HIDDEN, LABELS, answers, load_classifier, make_adapter, make_base

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.store import Store

HEAD = "base_model.model.score.weight"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_base(tmp_path_factory.mktemp("base") / "classifier")


@pytest.fixture
def checks(base: Path) -> Checks:
    return Checks(BaseShapes.read(base), max_rank=16, base_weights=BaseWeights.open(base))


def as_served(base: Path, version: Version) -> torch.Tensor:
    """What the stored version answers, which is plain LoRA on the layers and on the head."""
    model = load_classifier(base)
    config = peft.LoraConfig.from_pretrained(version.path)
    # Else PEFT would take the head for one that is trained as a whole.
    config.task_type = None
    peft_model = peft.get_peft_model(model, config)
    tensors = load_file(version.path / "adapter_model.safetensors")
    loaded = peft.set_peft_model_state_dict(peft_model, tensors)
    assert not loaded.unexpected_keys
    return answers(peft_model.eval())


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"rank_pattern": {"q_proj": 2}}, {"r": 1}]
)
def test_a_retrained_head_is_served_as_what_was_changed_of_it(
    base: Path, tmp_path: Path, store: Store, checks: Checks, options: dict[str, Any]
) -> None:
    """The stored version is plain LoRA, and answers like PEFT's model with the whole head."""
    expected = make_adapter(base, tmp_path / "finance", **options)
    version = store.ingest(tmp_path / "finance", AdapterName("finance"), checks)
    assert isinstance(version, Version), version
    assert version.spec.rank == max(LABELS, options.get("r", 4))
    assert "score" in version.spec.modules
    (note,) = version.spec.warnings
    assert "'score.weight', which was retrained as a whole, is served as its difference" in note
    torch.testing.assert_close(as_served(base, version), expected, rtol=1e-4, atol=1e-5)
    assert checks.base_weights is not None
    assert store.bases(version) == (checks.base_weights.identity,)


def edit(folder: Path, change: Any) -> None:
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def test_a_head_that_nobody_changed_is_left_out(base: Path, tmp_path: Path, checks: Checks) -> None:
    """PEFT names every head that there might be, and this base has one of them."""
    make_adapter(base, tmp_path / "a")
    own = load_file(base / "model.safetensors")["score.weight"]
    edit(tmp_path / "a", lambda tensors: tensors.update({HEAD: own.clone()}))
    spec = validate(tmp_path / "a", checks)
    assert isinstance(spec, AdapterSpec), spec
    assert "score" not in spec.modules
    assert "copies of the base's own tensors" in spec.warnings[0]


def test_a_version_without_a_copy_of_the_head_is_of_its_base(
    base: Path, tmp_path: Path, store: Store, checks: Checks
) -> None:
    """Over another head, what was left out would be missing; without heads none counts."""
    make_adapter(base, tmp_path / "a")
    own = load_file(base / "model.safetensors")["score.weight"]
    edit(tmp_path / "a", lambda tensors: tensors.update({HEAD: own.clone()}))
    version = store.ingest(tmp_path / "a", AdapterName("finance"), checks)
    assert isinstance(version, Version), version
    assert checks.base_weights is not None
    assert store.bases(version) == (checks.base_weights.identity,)
    assert not store.scales_outputs(version)


def test_a_composite_of_a_member_without_its_copies_is_of_its_base(
    base: Path, tmp_path: Path, store: Store, checks: Checks
) -> None:
    """What the member lost, the sum lacks as well; a sum of plain LoRA depends on no base."""
    make_adapter(base, tmp_path / "copied")
    own = load_file(base / "model.safetensors")["score.weight"]
    edit(tmp_path / "copied", lambda tensors: tensors.update({HEAD: own.clone()}))
    make_adapter(base, tmp_path / "plain")
    edit(tmp_path / "plain", lambda tensors: tensors.pop(HEAD))
    config = tmp_path / "plain" / "adapter_config.json"
    fields = json.loads(config.read_bytes()) | {"modules_to_save": None, "lora_alpha": 3}
    config.write_text(json.dumps(fields))

    def bases(member: str) -> tuple[str, ...] | None:
        make_composite(tmp_path / f"of-{member}", member)
        folder = tmp_path / f"of-{member}"
        version = store.ingest(folder, AdapterName(member), checks, roots=(tmp_path.resolve(),))
        assert isinstance(version, Version), version
        return store.bases(version)

    assert checks.base_weights is not None
    assert bases("copied") == (checks.base_weights.identity,)
    assert bases("plain") is None


def test_a_head_that_was_not_saved_is_a_reason(base: Path, tmp_path: Path, checks: Checks) -> None:
    """The config says that it was trained: the base's own would answer in its place."""
    make_adapter(base, tmp_path / "a")
    edit(tmp_path / "a", lambda tensors: tensors.pop(HEAD))
    result = validate(tmp_path / "a", checks)
    assert isinstance(result, Rejected)
    assert result.codes == {"modules_to_save"}


def test_a_head_of_other_labels_is_a_reason(base: Path, tmp_path: Path, checks: Checks) -> None:
    """Its rows would mean other classes than the base's names for them."""
    make_adapter(base, tmp_path / "a")
    edit(tmp_path / "a", lambda tensors: tensors.update({HEAD: torch.ones(LABELS + 2, HIDDEN)}))
    result = validate(tmp_path / "a", checks)
    assert isinstance(result, Rejected)
    assert "shape" in result.codes


@pytest.mark.parametrize("change", ["labels", "weights", "engine"])
def test_a_head_that_cannot_be_served_so_says_what_to_do(
    base: Path, tmp_path: Path, checks: Checks, change: str
) -> None:
    """More labels than ranks, an unknown base, an engine without a layer for it."""
    make_adapter(base, tmp_path / "a", r=1)
    without: dict[str, Any] = {
        "labels": {"max_rank": 1},
        "weights": {"base_weights": None},
        "engine": {"adapted": Adapted({"score": "it has no layer for that"})},
    }
    result = validate(tmp_path / "a", replace(checks, **without[change]))
    assert isinstance(result, Rejected)
    code = "module_not_adapted" if change == "engine" else "modules_to_save"
    assert code in result.codes
    assert "merge it" in result.line or change == "engine"


def test_only_heads_are_taken_for_heads(base: Path, checks: Checks) -> None:
    """Another module of few rows is none, nor is a bias."""
    assert head_products({}, checks.base, checks.base_weights, 16) == {}
    assert next(head_notes(["score.weight"])).startswith("'score.weight'")


def test_a_head_with_lora_beside_it_is_refused(base: Path, tmp_path: Path, checks: Checks) -> None:
    """One of the two would be served without the other."""
    make_adapter(base, tmp_path / "a")
    lora = {
        "base_model.model.score.lora_A.weight": torch.ones(4, HIDDEN),
        "base_model.model.score.lora_B.weight": torch.ones(LABELS, 4),
    }
    edit(tmp_path / "a", lambda tensors: tensors.update(lora))
    path = tmp_path / "a" / "adapter_config.json"
    config = json.loads(path.read_bytes())
    path.write_text(json.dumps(config | {"target_modules": ["q_proj", "v_proj", "score"]}))
    result = validate(tmp_path / "a", checks)
    assert isinstance(result, Rejected), result
    assert "both retrained as a whole and by LoRA" in result.line
