"""Combined adapters are PEFT's `add_weighted_adapter`, method by method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import peft
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from lorabay.algebra.combination import kept_at_random
from lorabay.base.shapes import BaseShapes
from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.base.weights import BaseWeights
from lorabay.catalog.composite.assembly import Assembly
from lorabay.files.adapter_folder import Limits
from tests import peft_adapters

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WEIGHTS = (0.7, -0.4, 1.5)
TARGETS = (["q_proj", "v_proj", "up_proj"], ["q_proj", "v_proj"], ["q_proj", "v_proj", "down_proj"])
METHODS = {
    "linear": {},
    "cat": {},
    "svd": {},
    "svd of a rank": {"svd_rank": 2},
    "ties": {"density": 0.5},
    "ties by frequency": {"density": 0.3, "majority_sign_method": "frequency"},
    "ties, all of it": {"density": 1.0},
    "magnitude_prune": {"density": 0.4},
    "dare_linear": {"density": 0.6},
    "dare_ties": {"density": 0.6},
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peft_adapters.make_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def members(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three adapters with different modules and alphas."""
    root = tmp_path_factory.mktemp("members")
    for number, targets in enumerate(TARGETS):
        peft_adapters.make(
            base,
            root / f"m{number}",
            lambda targets=targets, number=number: peft_adapters.lora(
                target_modules=targets, lora_alpha=4 + 3 * number
            ),
            seed=number,
        )
    return root


@pytest.fixture(scope="module", params=["embeddings", "GPT-2"])
def turned(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A base, and three members whose factors fit transposed weights."""
    root = tmp_path_factory.mktemp("turned")
    gpt2 = request.param == "GPT-2"
    base = (
        peft_adapters.make_gpt2(root / "tiny") if gpt2 else peft_adapters.make_base(root / "tiny")
    )
    targets = peft_adapters.GPT2_LINEAR if gpt2 else ["embed_tokens", "lm_head", "q_proj"]
    for number in range(3):
        config = lambda: peft_adapters.lora(target_modules=targets, fan_in_fan_out=gpt2)  # noqa: E731
        peft_adapters.make(base, root / f"m{number}", config, seed=number)
    return base, root


@pytest.fixture(scope="module")
def patterned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three adapters in which `q_proj` has a smaller rank than the rest."""
    root = tmp_path_factory.mktemp("patterned")
    for number in range(3):
        config = lambda: peft_adapters.lora(target_modules=TARGETS[0], rank_pattern={"q_proj": 2})  # noqa: E731
        peft_adapters.make(base, root / f"m{number}", config, seed=number)
    return root


def write(
    folder: Path, method: str, options: Mapping[str, object], weights: tuple[float, ...] = WEIGHTS
) -> Path:
    folder.mkdir()
    lines = [f'method = "{method.split(" ", maxsplit=1)[0].rstrip(",")}"']
    lines += ["seed = 11"] if method.startswith("dare") else []
    for name, value in options.items():
        lines.append(
            f"{name.removeprefix('svd_')} = "
            + (f'"{value}"' if isinstance(value, str) else str(value))
        )
    for number, weight in enumerate(weights):
        lines += ["[[members]]", f'adapter = "m{number}"', f"weight = {weight}"]
    (folder / "composite.toml").write_text("\n".join(lines))
    return folder


def pefts(
    base: Path,
    members: Path,
    method: str,
    options: Mapping[str, object],
    monkeypatch: pytest.MonkeyPatch,
) -> Mapping[str, torch.Tensor]:
    """Return the weights after PEFT combined the members and merged the result."""
    method = method.split(" ", maxsplit=1)[0].rstrip(",")
    with quiet_transformers():
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        wrapped = peft.PeftModel.from_pretrained(model, members / "m0", adapter_name="m0")
        for name in ("m1", "m2"):
            wrapped.load_adapter(members / name, adapter_name=name)
        if method.startswith("dare"):
            _use_our_masks(wrapped, monkeypatch, float(str(options["density"])))
        wrapped.add_weighted_adapter(
            ["m0", "m1", "m2"], list(WEIGHTS), "all", combination_type=method, **options
        )
        wrapped.set_adapter("all")
        return wrapped.merge_and_unload().state_dict()


def _use_our_masks(model: peft.PeftModel, monkeypatch: pytest.MonkeyPatch, density: float) -> None:
    """Make PEFT use our masks; it draws module by module, A before B, member by member."""
    masks = []
    for module, layer in model.base_model.model.named_modules():
        if isinstance(layer, peft.tuners.lora.LoraLayer):
            factors = (("A", layer.lora_A), ("B", layer.lora_B))
            if layer.lora_embedding_A:
                factors = (("A", layer.lora_embedding_A), ("B", layer.lora_embedding_B))
            present = [
                place for place, name in enumerate(("m0", "m1", "m2")) if name in factors[0][1]
            ]
            for factor, part in factors:
                for place in present:
                    own = part[f"m{place}"]
                    shape = tuple(getattr(own, "weight", own).shape)
                    masks.append(kept_at_random(11, module, place, factor, shape, density))
    drawn = iter(masks)
    monkeypatch.setattr(
        torch, "bernoulli", lambda like: torch.from_numpy(next(drawn)).to(like.dtype)
    )


@pytest.mark.filterwarnings("ignore:The density 1.0:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_combined_weights_are_pefts(
    method: str,
    base: Path,
    members: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: list[str],
) -> None:
    """Merged weights differ by rounding only; `dare` is compared with the same masks."""
    difference, effect, changed = compare(base, members, tmp_path, method, monkeypatch)
    figures.append(
        f"combine, {method}: merged weights differ from PEFT's by {difference:.1e} "
        f"of {effect:.1e} changed"
    )
    assert changed == 8
    assert difference < 2e-6


def compare(
    base: Path, members: Path, tmp_path: Path, method: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[float, float, int]:
    """Return the largest difference from PEFT's, the largest change, and the changed tensors."""
    theirs = pefts(base, members, method, METHODS[method], monkeypatch)
    for number in range(3):
        (tmp_path / f"m{number}").symlink_to(members / f"m{number}")
    composite = write(tmp_path / "all", method, METHODS[method])
    (tmp_path / "out").mkdir()
    assembly = Assembly(
        BaseShapes.read(base), (tmp_path, members), Limits(), weights=BaseWeights.open(base)
    )
    assert assembly.take(composite, tmp_path / "out") is None
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    ours = peft_adapters.loaded(base, tmp_path / "out").merged()
    weights = load_file(base / "model.safetensors")
    changed = sum(not torch.equal(theirs[name], weights[name]) for name in weights)
    difference = max(float((ours[name] - theirs[name]).abs().max()) for name in weights)
    effect = max(float((theirs[name] - weights[name]).abs().max()) for name in weights)
    return difference, effect, changed


@pytest.mark.filterwarnings("ignore:The density 1.0:UserWarning")
@pytest.mark.parametrize("method", METHODS)
def test_factors_of_transposed_weights_are_combined_as_they_are_stored(
    method: str, turned: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign of a negative weight is on PEFT's own A, also for embeddings and GPT-2."""
    base, members = turned
    difference, effect, _ = compare(base, members, tmp_path, method, monkeypatch)
    assert effect > 0.1
    # A decomposition in float32 rounds otherwise on each kind of processor.
    assert difference < 1e-5 * max(effect, 1)


def test_svd_has_the_rank_of_the_largest_module(
    base: Path, patterned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rank is the largest of any module, also where all members are smaller."""
    difference, _, _ = compare(base, patterned, tmp_path, "svd", monkeypatch)
    assert difference < 2e-6


def test_what_is_dropped_has_the_share_and_the_expectation_of_dare() -> None:
    """Each value stays with the probability of the density, independently of module, member and
    factor.
    """
    masks = [
        kept_at_random(seed, module, member, factor, (200, 100), 0.3)
        for seed in (0, 1)
        for module in ("a", "b")
        for member in (0, 1)
        for factor in "AB"
    ]
    assert all(abs(mask.mean() - 0.3) < 0.02 for mask in masks)
    flat = np.array([mask.ravel() for mask in masks], float)
    correlation = np.corrcoef(flat)
    assert np.abs(correlation - np.eye(len(masks))).max() < 0.05
    assert np.array_equal(masks[0], kept_at_random(0, "a", 0, "A", (200, 100), 0.3))
