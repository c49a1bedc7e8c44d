"""An inspection agrees with PEFT's own merge, without building the matrices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks
from lorabay.catalog.names import AdapterName
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.errors import SetupError
from lorabay.tools.find_adapter import ChosenAdapter
from lorabay.tools.inspection.inspection import inspect
from lorabay.tools.inspection.opened import Misfit, open_adapter
from tests import making, peft_adapters
from tests.tools.inspection.conftest import Open
from tests.tools.inspection.test_report import shown

MEASURED = [
    "lora",
    "rslora",
    "lora-patterns",
    "lora-modules-to-save",
    "dora",
    "adalora",
    "vera",
    "vera-seed",
    "loha",
    "lokr",
    "lokr-both",
    "lokr-full",
    "ia3",
    "ln-tuning",
]


@pytest.mark.parametrize("name", MEASURED)
def test_norms_are_those_of_the_merged_weights(
    name: str, base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """||ΔW|| and ||ΔW||/||W|| are right in any format, for the modules that PEFT changes."""
    adapter = made(name)
    report = inspect(open_adapter(ChosenAdapter.at(adapter.folder), base))
    before, after = load_file(base / "model.safetensors"), adapter.merged()
    changed = {tensor for tensor in before if not before[tensor].equal(after[tensor])}
    assert {module.name for module in report.modules} == changed
    for module in report.modules:
        norm = float((after[module.name].double() - before[module.name].double()).norm())
        assert module.norm == pytest.approx(norm, rel=1e-3)
        assert module.ratio == pytest.approx(
            norm / float(before[module.name].double().norm()), rel=1e-3
        )
    json.dumps(report.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("name", "rank", "need"),
    [
        ("lora", 4, "max_lora_rank=8"),
        ("dora", 4, "DoRA's output scaling"),
        ("adalora", 6, "exact conversion"),
        ("vera", 8, "exact conversion"),
        ("vera-seed", 8, "exact conversion"),
        ("loha", 9, "exact conversion"),
        ("lokr", 16, "exact conversion"),
    ],
)
def test_what_the_engine_needs(opened: Open, name: str, rank: int, need: str) -> None:
    """The smallest limit of ranks that serves it, and other options are named."""
    report = inspect(opened(name))
    assert report.servable
    assert report.digest
    assert report.parameters > 0
    assert report.format == name.partition("-")[0]
    assert max(module.rank or 0 for module in report.modules) in {rank, 0}
    assert any(need in told for told in report.needs)
    assert "servable" in shown(report)


@pytest.mark.parametrize("name", ["ia3", "lora-modules-to-save", "ln-tuning"])
def test_what_no_engine_serves_says_why(opened: Open, name: str) -> None:
    """All other facts are reported nevertheless."""
    found = opened(name)
    report = inspect(found)
    assert not report.servable
    assert report.reasons
    assert report.digest == found.source.digest()
    assert not report.needs
    assert report.as_dict()["servable"] is False
    assert "no: " in shown(report)


def of_another_model(folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    save_file(
        {name.replace("layers.1", "layers.7"): tensor for name, tensor in load_file(path).items()},
        path,
    )


def with_fields(**fields: object) -> Callable[[Path], None]:
    """Return a change of some fields of the config."""

    def change(folder: Path) -> None:
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | fields))

    return change


@pytest.mark.parametrize(
    ("change", "kind", "ranks", "text"),
    [
        (of_another_model, "lora", {4}, "the base has no module 'model.layers.7."),
        (with_fields(init_lora_weights="pissa"), "lora", {4}, "init_lora_weights is 'pissa'"),
        (
            with_fields(init_lora_weights="olora", use_dora=True),
            "dora",
            {4},
            "init_lora_weights is 'olora'",
        ),
        (with_fields(peft_type="NOVEL"), "novel", {4}, "peft_type 'NOVEL' is unknown"),
        (with_fields(peft_type=["x"]), "unknown", {4}, "peft_type ['x'] is unknown"),
        (with_fields(target_parameters=["experts"]), "lora", {None}, "target_parameters names"),
    ],
)
def test_a_misfit_is_reported_as_far_as_it_can_be_read(
    change: Callable[[Path], None],
    kind: str,
    ranks: set[int | None],
    text: str,
    base: Path,
    made: Callable[..., peft_adapters.Made],
) -> None:
    """Config and header are reported beside the reasons, which were once reported alone."""
    folder = made("lora").folder
    whole = inspect(open_adapter(ChosenAdapter.at(folder), base))
    change(folder)
    source = ChosenAdapter.at(folder)
    opened = open_adapter(source, base)
    assert isinstance(opened, Misfit)
    report = inspect(opened)
    assert (report.servable, report.needs, report.format) == (False, (), kind)
    assert any(text in reason for reason in report.reasons)
    assert report.digest == source.digest()
    assert (report.parameters, report.base_model) == (whole.parameters, whole.base_model)
    assert len(report.modules) == len(whole.modules)
    assert {module.rank for module in report.modules} == ranks
    assert all(module.norm is None for module in report.modules)
    json.dumps(report.as_dict(), allow_nan=False)
    assert text.split(maxsplit=1)[0] in shown(report)


def test_modules_of_a_misfit_are_those_of_the_base(
    base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """Layers, embeddings and replaced tensors are listed once, without commands for a terminal."""
    folder = made("lora-modules-to-save").folder
    fitting = inspect(open_adapter(ChosenAdapter.at(folder), base))
    tensors = load_file(folder / "adapter_model.safetensors")
    odd = "model.\x1b[2Jx.lora_A.weight"
    save_file(
        tensors | {f"{making.PREFIX}{odd}": torch.ones(4, 8)}, folder / "adapter_model.safetensors"
    )
    report = inspect(open_adapter(ChosenAdapter.at(folder), base))
    assert {module.name for module in report.modules} - {
        module.name for module in fitting.modules
    } == {odd.replace(".lora_A", "")}
    known = {module.name: (module.rank, module.alpha) for module in fitting.modules}
    assert {m.name: (m.rank, m.alpha) for m in report.modules if m.name in known} == known
    assert "\x1b" not in shown(report)


def test_an_embedding_that_grew_cannot_be_measured(
    base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """It has more rows than that of the base; the other modules are measured."""
    folder = made("lora-modules-to-save").folder
    tensors = load_file(folder / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith(("embed_tokens.weight", "lm_head.weight")):
            tensors[name] = tensor.new_ones((tensor.shape[0] + 2, tensor.shape[1]))
    save_file(tensors, folder / "adapter_model.safetensors")
    report = inspect(open_adapter(ChosenAdapter.at(folder), base))
    unknown = {module.name for module in report.modules if module.norm is None}
    assert unknown == {"model.embed_tokens.weight", "lm_head.weight"}
    assert report.layers()[-1] == {"layer": None, "norm": None}


@pytest.mark.parametrize("kind", ["lora", "dora"])
def test_a_version_of_the_store_is_what_its_folder_was(
    kind: str, base: Path, tmp_path: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """Digest, format and norms are the same; those of DoRA include the output scales."""
    adapter = made(kind)
    checks = Checks(BaseShapes.read(base), 64, base_weights=BaseWeights.open(base))
    with Store.open(tmp_path / "store") as store:
        version = store.ingest(adapter.folder, AdapterName("finance"), checks)
        assert isinstance(version, Version)
        source = ChosenAdapter("finance@x", version.path, version.path, version)
        stored, plain = (
            inspect(open_adapter(each, base)) for each in (source, ChosenAdapter.at(adapter.folder))
        )
    assert (stored.digest, stored.format, stored.needs) == (plain.digest, plain.format, plain.needs)
    assert stored.adapter == "finance@x"
    norms = {module.name: module.norm for module in plain.modules}
    assert {module.name: module.norm for module in stored.modules} == pytest.approx(norms, rel=1e-3)


def test_a_file_that_vanishes_is_one_clear_error(opened: Open) -> None:
    """It vanishes between reading its header and measuring it."""
    found = opened("lora")
    (found.source.folder / "adapter_model.safetensors").unlink()
    with pytest.raises(
        SetupError, match=r"cannot be inspected: there is no adapter_model.safetensors"
    ):
        inspect(found)


def rename(folder: Path) -> None:
    """Write the adapter as one of a class for images and text."""
    tensors = load_file(folder / "adapter_model.safetensors")
    renamed = {
        name.replace("model.layers", "model.language_model.layers"): value
        for name, value in tensors.items()
    }
    save_file(renamed, folder / "adapter_model.safetensors")


def test_how_names_were_mapped_is_shown(
    base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """An adapter of another layout has the facts of its twin, and a warning that says so."""
    folder = made("lora").folder
    plain = inspect(open_adapter(ChosenAdapter.at(folder), base))
    rename(folder)
    report = inspect(open_adapter(ChosenAdapter.at(folder), base))
    assert report.modules == plain.modules
    assert plain.warnings == ()
    assert [warning for warning in report.warnings if "mapped" in warning]
    assert "language_model" in shown(report)


def test_what_an_adapter_says_of_its_use_is_reported(
    base: Path, made: Callable[..., peft_adapters.Made]
) -> None:
    """As a server will follow it, in the table and as JSON, without commands for a terminal."""
    folder = made("lora").folder
    (folder / "lorabay.toml").write_text(
        'description = "a \\u001b[2J b"\nsystem_prompt = { value = "Be brief.", enforced = true }\n'
        "[sampling]\ntemperature = 0.2\nstop = ['a', 'b']\n"
    )
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    report = inspect(open_adapter(ChosenAdapter.at(folder), base))
    assert report.servable
    assert report.as_dict()["defaults"]["sampling"]["temperature"]["value"] == 0.2
    text = shown(report)
    for line in ("Be brief. (enforced)", "default temperature", '["a", "b"]', "14 characters"):
        assert line in text
    assert "\x1b" not in text

    (folder / "lorabay.toml").write_text("x = 1")
    report = inspect(open_adapter(ChosenAdapter.at(folder), base))
    assert not report.servable
    assert any("unknown key" in reason for reason in report.reasons)
