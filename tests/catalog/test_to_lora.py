"""An adapter that is served as plain LoRA computes what PEFT's own model of it computes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file, save_file

from lorabay.base.files import BaseFiles
from lorabay.base.quantised.dense import with_hidden_shapes
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks
from lorabay.catalog.canonical import UNTRAINED
from lorabay.catalog.names import AdapterName
from lorabay.catalog.versions import Version
from lorabay.files.adapter_folder import SCALES_FILE
from lorabay.reasons import Rejected
from tests import peft_adapters
from tests.base.quantised.layouts import quantise

if TYPE_CHECKING:
    from pathlib import Path

    from lorabay.catalog.store import Store

EXACT = {
    "adalora": 6,
    "vera": 8,
    "vera-seed": 8,
    "loha": 9,
    "loha-patterns": 9,
    "lokr-both": 8,
    "lokr": 8,
}
"""Format -> the rank that it needs as plain LoRA."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def llama_checks(base: Path) -> Checks:
    return Checks(BaseShapes.read(base), max_rank=64, base_weights=BaseWeights.open(base))


def ingest(store: Store, folder: Path, checks: Checks) -> Version:
    result = store.ingest(folder, AdapterName("finance"), checks)
    assert isinstance(result, Version), result
    return result


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_conversion_answers_like_the_original(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """The stored version, loaded by PEFT as plain LoRA, has the logits of the original."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    version = ingest(store, made.folder, llama_checks)
    assert version.spec.rank == EXACT[name]
    assert version.spec.format == name.partition("-")[0]
    assert version.spec.approximate is None
    served = peft_adapters.loaded(base, version.path)
    torch.testing.assert_close(served.logits(), made.logits(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["lora", "lora-patterns", "dora", "loha"])
def test_float64_is_kept_in_float32(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """What a model in double precision saves is the version of its rounded values."""
    config = peft_adapters.CONFIGS[name]
    made = peft_adapters.make(base, tmp_path / "a", config)
    wide = shutil.copytree(made.folder, tmp_path / "b")
    doubles = {key: value.double() for key, value in peft_adapters.stored(made.folder).items()}
    save_file(doubles, wide / "adapter_model.safetensors")

    assert (
        ingest(store, wide, llama_checks).digest == ingest(store, made.folder, llama_checks).digest
    )


@pytest.mark.parametrize("name", ["dora", "dora-rslora"])
def test_dora_is_a_product_and_a_factor_on_each_output(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """c ⊙ W + s B A, with the stored c and B, is the weight that PEFT merges."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    version = ingest(store, made.folder, llama_checks)
    assert version.spec.format == "dora"
    config = json.loads((version.path / "adapter_config.json").read_text())
    factors = load_file(version.path / "adapter_model.safetensors")
    scales = load_file(version.path / SCALES_FILE)
    assert len(scales) == 14
    weights, merged = load_file(base / "model.safetensors"), made.merged()
    for scale, c in scales.items():
        module = scale.removesuffix(".scale")
        assert c.dtype == torch.float32
        a, b = (factors[f"base_model.model.{module}.lora_{part}.weight"] for part in "AB")
        ours = c[:, None] * weights[f"{module}.weight"] + config["lora_alpha"] / config["r"] * (
            b @ a
        )
        torch.testing.assert_close(ours, merged[f"{module}.weight"], rtol=1e-5, atol=1e-6)


def test_doras_version_depends_on_the_base(tmp_path: Path, store: Store) -> None:
    """Two bases of one shape give one adapter two versions and two remembered verdicts."""
    versions, identities = set(), set()
    folder = None
    for seed in (0, 1):
        base = peft_adapters.make_base(tmp_path / f"base{seed}" / "tiny", seed=seed)
        checks = Checks(BaseShapes.read(base), max_rank=64, base_weights=BaseWeights.open(base))
        folder = (
            folder or peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"]).folder
        )
        versions.add(ingest(store, folder, checks).digest)
        identities.add(checks.identity)
    assert len(versions) == len(identities) == 2


def spoil(folder: Path, change: dict[str, torch.Tensor | None]) -> None:
    tensors = dict(peft_adapters.stored(folder)) | change
    save_file(
        {name: value for name, value in tensors.items() if value is not None},
        folder / "adapter_model.safetensors",
    )


MAGNITUDE = "base_model.model.model.layers.0.mlp.up_proj.lora_magnitude_vector"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (None, "missing_tensor"),
        (torch.ones(5), "shape"),
        (torch.ones(48, 1), "shape"),
        (torch.zeros(48), "magnitude"),
        (-torch.ones(48), "magnitude"),
        (torch.full((48,), float("nan")), "magnitude"),
        (torch.full((48,), float("inf")), "magnitude"),
        (torch.ones(48), "not_finite"),
    ],
    ids=["none", "length", "dimensions", "zero", "negative", "nan", "infinite", "weight of zeros"],
)
def test_a_bad_magnitude_is_refused(
    change: torch.Tensor | None,
    code: str,
    base: Path,
    tmp_path: Path,
    store: Store,
    llama_checks: Checks,
) -> None:
    """A magnitude that is missing, misshapen or not positive never reaches the engine."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"])
    spoil(made.folder, {MAGNITUDE: change})
    if code == "not_finite":
        weights = {"base_model.model.model.layers.0.mlp.up_proj.lora_B.weight": torch.zeros(48, 4)}
        small = load_file(base / "model.safetensors")
        small["model.layers.0.mlp.up_proj.weight"] = torch.zeros(48, 32)
        shutil.copytree(base, tmp_path / "zero")
        save_file(small, tmp_path / "zero" / "model.safetensors")
        spoil(made.folder, weights)
        llama_checks = replace(llama_checks, base_weights=BaseWeights.open(tmp_path / "zero"))
    result = store.ingest(made.folder, AdapterName("finance"), llama_checks)
    assert isinstance(result, Rejected)
    assert result.codes == {code}


@pytest.mark.parametrize("target", ["embed_tokens", "lm_head"])
def test_dora_is_served_on_linear_layers_only(
    target: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """The engine scales neither embeddings nor the head."""
    made = peft_adapters.make(
        base, tmp_path / "a", lambda: peft_adapters.lora(use_dora=True, target_modules=[target])
    )
    result = store.ingest(made.folder, AdapterName("finance"), llama_checks)
    assert isinstance(result, Rejected)
    assert result.codes & {"module", "modules_to_save"}, result


def test_the_head_of_a_larger_model_is_a_head_too(base: Path, tmp_path: Path, store: Store) -> None:
    """The head is recognised one level down, too, as in models that read pictures."""
    inner = "language_model."
    config = lambda: peft_adapters.lora(use_dora=True, target_modules=["q_proj", "lm_head"])  # noqa: E731
    made = peft_adapters.make(base, tmp_path / "a", config, save_embedding_layers=False)
    larger = shutil.copytree(base, tmp_path / "larger")
    named = {inner + name: tensor for name, tensor in load_file(base / "model.safetensors").items()}
    save_file(named, larger / "model.safetensors")
    prefix = "base_model.model."
    tensors = {
        name.replace(prefix, prefix + inner): tensor
        for name, tensor in peft_adapters.stored(made.folder).items()
    }
    save_file(tensors, made.folder / "adapter_model.safetensors")
    checks = Checks(BaseShapes.read(larger), max_rank=64, base_weights=BaseWeights.open(larger))
    result = store.ingest(made.folder, AdapterName("finance"), checks)
    assert isinstance(result, Rejected)
    assert "'language_model.lm_head.weight' is not served" in str(result.reasons)


def test_dora_needs_the_bases_values(
    base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """Without output scales, or on packed weights, DoRA is refused with the way out."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"])
    result = store.ingest(
        made.folder, AdapterName("finance"), replace(llama_checks, scales_outputs=False)
    )
    assert isinstance(result, Rejected)
    assert "dora" in result.codes
    packed = BaseWeights({}, "packed")
    result = store.ingest(
        made.folder, AdapterName("finance"), replace(llama_checks, base_weights=packed)
    )
    assert isinstance(result, Rejected)
    assert result.codes == {"quantised_base"}


@pytest.mark.parametrize("kind", ["gptq", "awq", "float8 by block", "float8", "packed"])
def test_dora_over_a_packed_base_divides_by_its_dense_norms(
    kind: str, base: Path, tmp_path: Path, store: Store
) -> None:
    """The engine multiplies by what the packing stands for: so do the scales."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"])
    packed = shutil.copytree(base, tmp_path / "packed")
    dense = {name: weight.contiguous() for name, weight in quantise(packed, kind).items()}
    plain = shutil.copytree(base, tmp_path / "plain")
    save_file(load_file(plain / "model.safetensors") | dense, plain / "model.safetensors")

    scales: list[dict[str, torch.Tensor]] = []
    for folder in (packed, plain):
        files = BaseFiles.open(folder)
        shapes = with_hidden_shapes(files, BaseShapes.of(files))
        checks = Checks(shapes, max_rank=64, base_weights=BaseWeights.of(files))
        version = ingest(store, made.folder, checks)
        scales.append(load_file(version.path / SCALES_FILE))

    of_packed, of_plain = scales
    assert of_packed
    assert of_packed.keys() == of_plain.keys()
    for name, scale in of_packed.items():
        torch.testing.assert_close(scale, of_plain[name], rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["lora", "dora", "vera", "loha", "lokr", "adalora"])
def test_an_adapter_fresh_from_peft_is_served_with_a_warning(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """Trainers send it before the first step: with zeros, and DoRA's magnitudes of the base."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name], scale=0.0)
    version = ingest(store, made.folder, llama_checks)
    assert UNTRAINED in version.spec.warnings

    made = peft_adapters.make(base, tmp_path / "b", peft_adapters.CONFIGS[name])
    assert UNTRAINED not in ingest(store, made.folder, llama_checks).spec.warnings


def test_an_untrained_adapter_may_be_approximated(
    base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """Nothing is lost of zeros, whatever the rank."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["lokr-full"], scale=0.0)
    small = replace(llama_checks, max_rank=4, approximate_error=0.1)
    spec = ingest(store, made.folder, small).spec
    assert spec.approximate == 0
    assert UNTRAINED in spec.warnings


@pytest.mark.parametrize("name", ["vera", "loha", "lokr-full"])
def test_the_rank_that_a_conversion_needs_is_held_against_the_engines(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """A rank over the limit is refused with the limit in the reason."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    result = store.ingest(made.folder, AdapterName("finance"), replace(llama_checks, max_rank=4))
    assert isinstance(result, Rejected)
    assert result.codes == {"rank_over_limit"}
    assert "max_lora_rank 4" in result.reasons[0].text


def test_an_adapter_that_also_replaces_modules_is_refused(
    base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """A retrained norm has no place in a conversion."""

    def config() -> peft.PeftConfig:
        fields = {"r": 8, "target_modules": ["q_proj"], "modules_to_save": ["norm"]}
        return peft.VeraConfig(task_type="CAUSAL_LM", **fields)

    made = peft_adapters.make(base, tmp_path / "a", config)
    result = store.ingest(made.folder, AdapterName("finance"), llama_checks)
    assert isinstance(result, Rejected)
    assert "modules_to_save" in result.codes


def test_the_scales_are_a_part_of_the_whole_version(
    base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """A version whose scales were cut short is not complete."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"])
    version = ingest(store, made.folder, llama_checks)
    sizes = sum(
        (version.path / name).stat().st_size for name in ("adapter_model.safetensors", SCALES_FILE)
    )
    assert version.spec.size_bytes == sizes
    assert store.get(AdapterName("finance"), version.digest) == version
    scales = version.path / SCALES_FILE
    scales.chmod(0o644)
    scales.write_bytes(scales.read_bytes()[:-1])
    assert store.get(AdapterName("finance"), version.digest) is None


def test_factors_of_large_weights_are_read_in_blocks(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows come in order, however small the block."""
    weights = BaseWeights.open(base)
    name = "model.layers.0.mlp.up_proj.weight"
    whole = load_file(base / "model.safetensors")[name].float().numpy()
    monkeypatch.setattr("lorabay.base.weights._BLOCK_BYTES", 700)
    blocks = list(weights.blocks(name))
    assert len(blocks) > 5
    assert [first for first, _ in blocks] == list(
        np.cumsum([0, *(len(rows) for _, rows in blocks[:-1])])
    )
    assert np.array_equal(np.concatenate([rows for _, rows in blocks]), whole)


@pytest.mark.parametrize("name", ["lokr-full", "loha", "vera"])
def test_an_approximation_is_served_only_within_the_error_that_is_allowed(
    name: str, base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """The reported error is the real one, and the folder always gives the same version."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS[name])
    small = replace(llama_checks, max_rank=6)
    result = store.ingest(
        made.folder, AdapterName("finance"), replace(small, approximate_error=1e-3)
    )
    assert isinstance(result, Rejected)
    assert result.codes == {"approximate_error"}
    assert "rank 6" in result.reasons[0].text
    version = ingest(store, made.folder, replace(small, approximate_error=0.9))
    assert version.spec.approximate is not None
    assert 0.001 < version.spec.approximate <= 0.9
    assert version.spec.rank <= 6
    assert any("approximate" in warning for warning in version.spec.warnings)
    assert (
        ingest(store, made.folder, replace(small, approximate_error=0.9)).digest == version.digest
    )
    assert (
        store.get(AdapterName("finance"), version.digest).spec.approximate
        == version.spec.approximate
    )
    served, original = peft_adapters.loaded(base, version.path).merged(), made.merged()
    weights = load_file(base / "model.safetensors")
    lacking = sum(float(((served[key] - original[key]).double() ** 2).sum()) for key in weights)
    whole = sum(float(((original[key] - weights[key]).double() ** 2).sum()) for key in weights)
    assert (lacking / whole) ** 0.5 == pytest.approx(version.spec.approximate, rel=1e-3)
    assert replace(small, approximate_error=0.9).identity != small.identity


def test_dora_is_never_approximated(
    base: Path, tmp_path: Path, store: Store, llama_checks: Checks
) -> None:
    """Over the rank limit it is refused, whatever error is allowed."""
    made = peft_adapters.make(base, tmp_path / "a", peft_adapters.CONFIGS["dora"])
    result = store.ingest(
        made.folder,
        AdapterName("finance"),
        replace(llama_checks, max_rank=2, approximate_error=1.0),
    )
    assert isinstance(result, Rejected)
    assert result.codes == {"rank_over_limit"}
