"""A converted adapter loads in PEFT and answers like the original, as far as its error says."""

from __future__ import annotations

import json
import math
from io import StringIO
from typing import TYPE_CHECKING

import peft
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.names import AdapterName
from lorabay.catalog.records import Records
from lorabay.catalog.store import Store
from lorabay.catalog.versions import Version
from lorabay.cli import run
from lorabay.errors import SetupError
from lorabay.reasons import Rejected
from lorabay.tools.convert import ConvertSettings, convert
from tests import making, peft_adapters
from tests.formats.trainers import left_behind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


def relative_difference(
    base: Path, ours: peft_adapters.Made, original: peft_adapters.Made
) -> float:
    """Return ||ΔW' - ΔW|| / ||ΔW|| over all weights, from PEFT's own merges."""
    weights = load_file(base / "model.safetensors")
    one, two = ours.merged(), original.merged()
    lacking = sum(float(((one[name] - two[name]).double() ** 2).sum()) for name in weights)
    whole = sum(float(((two[name] - weights[name]).double() ** 2).sum()) for name in weights)
    return math.sqrt(lacking / whole)


EXACT = [
    "lora",
    "rslora",
    "lora-patterns",
    "lora-some-layers",
    "lora-regex",
    "adalora",
    "vera",
    "vera-seed",
    "loha",
    "lokr",
]


@pytest.mark.parametrize("name", EXACT)
def test_what_is_a_product_converts_exactly(name: str, base: Path, tmp_path: Path) -> None:
    """PEFT loads the result and answers as with the original; a server accepts it, too."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings())
    assert report.exact
    converted = peft_adapters.loaded(base, tmp_path / "out")
    torch.testing.assert_close(converted.logits(), made.logits(), rtol=1e-4, atol=1e-5)
    assert not isinstance(validate(tmp_path / "out", Checks(BaseShapes.read(base), 64)), Rejected)


@pytest.mark.parametrize(
    "name", ["lora", "dora", "adalora", "vera", "loha", "lokr", "lokr-full", "ia3"]
)
@pytest.mark.parametrize("rule", [{"rank": 3}, {"energy": 0.9}])
def test_the_error_that_is_told_is_the_error_that_was_made(
    name: str, rule: dict[str, float], base: Path, tmp_path: Path
) -> None:
    """The reported error equals the one between PEFT's merges of both."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings(**rule, max_error=1.0))
    converted = peft_adapters.loaded(base, tmp_path / "out")
    assert relative_difference(base, converted, made) == pytest.approx(
        report.error, rel=1e-3, abs=1e-5
    )
    assert 0 < report.error < 1
    if "rank" in rule:
        assert report.rank == 3
    else:
        assert report.error <= math.sqrt(1 - 0.9) + 1e-6


@pytest.mark.parametrize("copies", [False, True])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("targets", [["embed_tokens", "lm_head", "q_proj"], ["lm_head"]])
def test_embeddings_and_head_are_converted(
    targets: list[str], tied: bool, copies: bool, tmp_path: Path
) -> None:
    """Their factors keep PEFT's own form.

    The copy of the base that PEFT saves beside them changes nothing; it was once taken for a
    retrained tensor.
    """
    base = peft_adapters.make_base(tmp_path / "base", tied=tied)
    made = peft_adapters.make(
        base,
        tmp_path / "a",
        lambda: peft_adapters.lora(target_modules=targets),
        save_embedding_layers=copies,
    )
    assert any("base_layer" in name for name in peft_adapters.stored(made.folder)) == copies
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings())
    assert report.exact
    converted = peft_adapters.loaded(base, tmp_path / "out")
    torch.testing.assert_close(converted.logits(), made.logits(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_copy_of_the_base_may_be_rounded(dtype: torch.dtype, base: Path, tmp_path: Path) -> None:
    """It may have the dtype in which the base was loaded for the training."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora-embeddings"])
    rewrite_copies(made.folder, lambda copy: copy.to(dtype))
    assert convert(made.folder, base, tmp_path / "out", ConvertSettings()).exact


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (peft_adapters.VOCABULARY, "lm_head.base_layer.weight' is not the base's own tensor"),
        (70, "lm_head.base_layer.weight' has 70 rows, the base's 64"),
    ],
)
def test_a_copy_that_is_not_the_bases_is_refused(
    rows: int, why: str, base: Path, tmp_path: Path
) -> None:
    """LoRA cannot express values or a vocabulary that were changed before the training."""
    with quiet_transformers():
        model = LlamaForCausalLM.from_pretrained(base, dtype=torch.float32)
        model.resize_token_embeddings(rows)
        peft.get_peft_model(model, peft_adapters.CONFIGS["lora-embeddings"]()).save_pretrained(
            tmp_path / "a"
        )
    rewrite_copies(tmp_path / "a", lambda copy: copy * 1.01)
    message = refusal(tmp_path / "a", base, tmp_path / "out")
    assert why in message
    assert "takes" not in message
    assert "lorabay merge" in message
    assert not (tmp_path / "out").exists()


def rewrite_copies(folder: Path, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Put other copies of the base beside an adapter's factors."""
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    changed = {
        name: change(tensor) if "base_layer" in name else tensor for name, tensor in tensors.items()
    }
    save_file(changed, path)


def test_a_rank_beyond_what_an_engine_serves_is_still_a_product(tmp_path: Path) -> None:
    """It is cut without the base's weight; a tied head, which has none, was once refused."""
    base = peft_adapters.make_base(tmp_path / "base", tied=True)
    made = peft_adapters.make(
        base, tmp_path / "a", lambda: peft_adapters.lora(r=520, target_modules=["lm_head"])
    )
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings(rank=24, max_error=1.0))
    assert report.rank == 24
    assert 0 < report.error < 1


@pytest.mark.parametrize("name", ["lora", "lora-embeddings", "adalora", "vera"])
def test_layers_that_lie_the_other_way_round_are_converted(name: str, tmp_path: Path) -> None:
    """GPT-2's layers were once refused."""
    base = peft_adapters.make_gpt2(tmp_path / "base")
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.GPT2_CONFIGS[name])
    assert convert(made.folder, base, tmp_path / "out", ConvertSettings()).exact
    converted = peft_adapters.loaded(base, tmp_path / "out")
    torch.testing.assert_close(converted.logits(), made.logits(), rtol=1e-4, atol=1e-5)


def test_a_rank_that_was_more_than_enough_shrinks_without_loss(base: Path, tmp_path: Path) -> None:
    """Energy 1 keeps exactly the rank that the change has."""
    made = peft_adapters.make(
        base, tmp_path / "a", peft_adapters.adalora
    )  # 6 rows of which PEFT trained all
    first = convert(made.folder, base, tmp_path / "wide", ConvertSettings())
    again = convert(tmp_path / "wide", base, tmp_path / "out", ConvertSettings(energy=0.999999))
    assert again.rank <= first.rank
    assert again.error < 1e-3


def test_a_smaller_dtype_only_rounds(base: Path, tmp_path: Path) -> None:
    """bfloat16 factors are half as large."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["vera"])
    wide = convert(made.folder, base, tmp_path / "wide", ConvertSettings())
    narrow = convert(made.folder, base, tmp_path / "narrow", ConvertSettings(dtype="bfloat16"))
    assert narrow.size_bytes < 0.6 * wide.size_bytes
    tensors = load_file(tmp_path / "narrow" / "adapter_model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}


def test_an_adapter_of_another_base_is_told(tmp_path: Path) -> None:
    """The warning of `check` is in the report, in its file, and below the table."""
    config = making.lora_config(base_model_name_or_path="acme/other")
    adapter = making.make_adapter(tmp_path / "a", config=config)
    report = convert(
        adapter, making.make_base(tmp_path / "tiny"), tmp_path / "out", ConvertSettings()
    )
    assert report.warnings == ("the adapter was trained on 'acme/other', the base is 'tiny'",)
    assert json.loads((tmp_path / "out" / "conversion.json").read_bytes())["warnings"] == list(
        report.warnings
    )
    console = Console(file=StringIO(), width=200)
    console.print(report.table())
    assert f"warning: {report.warnings[0]}" in console.file.getvalue()


def test_card_and_report_come_along(base: Path, tmp_path: Path) -> None:
    """The card is copied, the report is written, and the inputs are untouched."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["loha"])
    (made.folder / "README.md").write_text("A card.")
    before = {path: path.read_bytes() for path in made.folder.iterdir()}
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings(rank=4, max_error=1))
    assert (tmp_path / "out" / "README.md").read_text() == "A card."
    told = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert told["error"] == report.error > 0
    assert len(told["modules"]) == 14
    assert str(tmp_path) not in json.dumps(told)
    assert {path: path.read_bytes() for path in made.folder.iterdir()} == before
    assert {path.name for path in tmp_path.iterdir()} == {"a", "out"}


def refusal(adapter: Path, base: Path, output: Path, **settings: object) -> str:
    with pytest.raises(SetupError) as caught:
        convert(adapter, base, output, ConvertSettings(**settings))
    assert "\n" not in caught.value.message
    return caught.value.message


def test_too_large_an_error_writes_nothing(base: Path, tmp_path: Path) -> None:
    """The line names the error, the worst module and the remedy."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lokr-full"])
    message = refusal(made.folder, base, tmp_path / "out", rank=2)
    assert "%" in message
    assert "--max-error" in message
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


@pytest.mark.parametrize(
    ("name", "value", "settings", "text"),
    [
        ("lora", 1e6, {"dtype": "float16"}, "too large for F16"),
        ("lora", math.nan, {}, "NaN or infinite"),
        ("lora", 3e38, {"rank": 2, "max_error": 1.0}, "not finite"),
        ("loha", 3e38, {"rank": 2, "max_error": 1.0}, "not finite"),
        ("lora", 3e38, {}, "too large for F32"),
    ],
)
def test_what_is_not_finite_is_refused(
    name: str, value: float, settings: dict[str, object], text: str, base: Path, tmp_path: Path
) -> None:
    """Values that are not finite at any step end in one line, without a warning before it."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    path = made.folder / "adapter_model.safetensors"
    tensors = load_file(path)
    for tensor in tensors.values():
        tensor[-1] = value
    save_file(tensors, path)
    assert text in refusal(made.folder, base, tmp_path / "out", **settings)
    assert {path.name for path in tmp_path.iterdir()} == {"a"}


@pytest.mark.parametrize("name", ["lora-modules-to-save", "lora-tokens", "ln-tuning", "tokens"])
def test_what_lora_cannot_stand_for_is_refused(name: str, base: Path, tmp_path: Path) -> None:
    """Norms, whole embeddings and single rows are not products."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    message = refusal(made.folder, base, tmp_path / "out")
    assert "trained as a whole" in message or "embedding" in message
    assert "merge" in message


def test_bad_folders_are_told_in_one_line(base: Path, tmp_path: Path) -> None:
    """Outputs that are inputs, in use or closed are refused, and so are unreadable inputs."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lora"])
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    (tmp_path / "file").touch()
    assert "inside" in refusal(made.folder, base, made.folder / "out")
    assert "inside" in refusal(made.folder, base, base / "out")
    assert "there already" in refusal(made.folder, base, taken)
    assert "there already" in refusal(made.folder, base, tmp_path / "file")
    assert "cannot be written" in refusal(made.folder, base, tmp_path / "file" / "out")
    assert "loop" in refusal(made.folder, base, loop)
    assert "adapter_config.json" in refusal(taken, base, tmp_path / "out")
    assert "safetensors" in refusal(
        made.folder, taken, tmp_path / "out"
    ) or "config.json" in refusal(made.folder, taken, tmp_path / "out")
    assert "--dtype" in refusal(made.folder, base, tmp_path / "out", dtype="int8")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["lora", "dora"])
def test_a_version_of_the_store_is_converted_like_its_folder(
    name: str,
    base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    no_settings_in_environment: None,
) -> None:
    """One that was made from DoRA keeps the factors of its outputs, as in PEFT's own merge."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    with Store.open(tmp_path / "store") as store:
        checks = Checks(BaseShapes.read(base), 64, base_weights=BaseWeights.open(base))
        version = store.ingest(made.folder, AdapterName("finance"), checks)
        assert isinstance(version, Version)
    Records(tmp_path / "store" / "records" / "key").update(
        AdapterName("finance"), {"kept": (version.digest,)}
    )
    command = [
        "convert",
        version.id,
        "-o",
        str(tmp_path / "out"),
        "--base",
        str(base),
        "--energy",
        "0.9999999",
    ]
    assert run([*command, "--store", str(tmp_path / "store"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == str(version.path)
    assert relative_difference(base, peft_adapters.loaded(base, tmp_path / "out"), made) < 1e-3


@pytest.mark.parametrize("trainer", left_behind.TRAINERS)
def test_another_trainers_adapter_becomes_pefts(trainer: str, base: Path, tmp_path: Path) -> None:
    """PEFT's merge of the result has the weights that the trainer's own formula makes, and a
    server accepts it.
    """
    left = left_behind.TRAINERS[trainer](base, tmp_path / "a")
    report = convert(left.folder, base, tmp_path / "out", ConvertSettings(allow_pickle=True))
    assert report.exact
    merged = peft_adapters.loaded(base, tmp_path / "out").merged()
    for name, weight in left.merged.items():
        torch.testing.assert_close(merged[name], weight, rtol=1e-5, atol=2e-6, msg=name)
    assert not isinstance(validate(tmp_path / "out", Checks(BaseShapes.read(base), 64)), Rejected)


@pytest.mark.parametrize(
    "make",
    [
        lambda base, folder: left_behind.mlx_lm(base, folder, dora=True),
        lambda base, folder: left_behind.torchtune(base, folder, dora=True),
    ],
)
def test_another_trainers_dora_is_approximated(
    make: Callable[[Path, Path], left_behind.Left], base: Path, tmp_path: Path
) -> None:
    """It is no product: at full rank the result still has the trainer's weights."""
    left = make(base, tmp_path / "a")
    settings = ConvertSettings(rank=32, max_error=1e-3, allow_pickle=True)
    convert(left.folder, base, tmp_path / "out", settings)
    merged = peft_adapters.loaded(base, tmp_path / "out").merged()
    for name, weight in left.merged.items():
        torch.testing.assert_close(merged[name], weight, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("file", ["adapter_model.bin", "adapter_model.pt", "adapter_3.bin"])
def test_a_pickle_is_converted_if_that_is_allowed(file: str, base: Path, tmp_path: Path) -> None:
    """The result answers as the adapter did; without the flag nothing is read, and the reason
    names it.
    """
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["rslora"])
    logits = made.logits()
    torch.save(dict(peft_adapters.stored(made.folder)), made.folder / file)
    (made.folder / "adapter_model.safetensors").unlink()

    with pytest.raises(SetupError, match="--allow-pickle"):
        convert(made.folder, base, tmp_path / "no", ConvertSettings())
    report = convert(made.folder, base, tmp_path / "out", ConvertSettings(allow_pickle=True))
    assert report.exact
    assert report.source == str(made.folder)
    converted = peft_adapters.loaded(base, tmp_path / "out")
    torch.testing.assert_close(converted.logits(), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("no_settings_in_environment")
def test_the_commands_of_other_tools_name_the_trainer(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """merge and inspect say what it is and which command reads it; that command works."""
    left = left_behind.mistral_finetune(base, tmp_path / "a")
    for tool in (["merge", "-o", str(tmp_path / "m")], ["inspect"]):
        assert run([tool[0], str(left.folder), *tool[1:], "--base", str(base)]) == 1
        error = " ".join(capsys.readouterr().err.split())
        assert "mistral-finetune" in error
        assert "lorabay convert" in error
    arguments = ["convert", str(left.folder), "-o", str(tmp_path / "out"), "--base", str(base)]
    assert run(arguments) == 0
