"""Experts that are one tensor of the base are converted and combined as PEFT loads them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lorabay.algebra.combination import Method, Part, combine as combine_products
from lorabay.algebra.low_rank import Rule
from lorabay.algebra.updates import ExpertProducts, LowRank
from lorabay.base.files import BaseFiles
from lorabay.base.shapes import BaseShapes
from lorabay.base.weights import BaseWeights
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.errors import SetupError
from lorabay.tools.combine import combine
from lorabay.tools.convert import ConvertSettings, convert
from lorabay.tools.converted_weights import converted_weight
from tests import mixtures, peft_adapters

if TYPE_CHECKING:
    from pathlib import Path

STACKED = ["gpt-oss", "GraniteMoE"]
"""Architectures whose files hold all experts of a layer in one tensor."""

SINGLE = ["Qwen3-MoE", "Mixtral", "OLMoE"]
"""Architectures whose files hold them one by one, and whose LoRA by expert PEFT reads."""

TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}
"""Of a logit in float32."""


def made(name: str, tmp_path: Path, seed: int = 1, **fields: object) -> peft_adapters.Made:
    base = tmp_path / "base"
    if not base.exists():
        mixtures.make_base(name, base)
    config = lambda: mixtures.on_experts(**fields)  # noqa: E731
    return peft_adapters.make(base, tmp_path / f"m{seed}", config, seed=seed)


@pytest.mark.parametrize("name", [*STACKED, *SINGLE])
def test_peft_loads_converted_experts(name: str, tmp_path: Path) -> None:
    """Its answers are those with the original; experts of their own become LoRA on modules."""
    original = made(name, tmp_path)
    report = convert(original.folder, tmp_path / "base", tmp_path / "out", ConvertSettings())
    assert report.exact
    again = peft_adapters.loaded(tmp_path / "base", tmp_path / "out")
    torch.testing.assert_close(again.logits(), original.logits(), **TOLERANCE)


@pytest.mark.parametrize("name", STACKED)
def test_one_parameter_alone_has_the_outer_pair(name: str, tmp_path: Path) -> None:
    """PEFT wraps twice only where both parameters of a layer are trained."""
    original = made(name, tmp_path, target_parameters=["experts.down_proj"], target_modules=[])
    convert(original.folder, tmp_path / "base", tmp_path / "out", ConvertSettings())
    again = peft_adapters.loaded(tmp_path / "base", tmp_path / "out")
    torch.testing.assert_close(again.logits(), original.logits(), **TOLERANCE)


def test_a_smaller_rank_is_the_best_of_each_expert(tmp_path: Path) -> None:
    """Singular values that are cut off are the error; a server takes the result."""
    original = made("gpt-oss", tmp_path)
    settings = ConvertSettings(rank=2, max_error=1.0)
    report = convert(original.folder, tmp_path / "base", tmp_path / "out", settings)
    assert report.rank == 2
    assert 0 < report.error < 1

    one, two = (
        peft_adapters.loaded(tmp_path / "base", folder).merged()
        for folder in (original.folder, tmp_path / "out")
    )
    base = load_file(tmp_path / "base" / "model.safetensors")
    for module in report.modules:
        name = module.module if "experts" in module.module else f"{module.module}.weight"
        change, lacking = one[name] - base[name], two[name] - one[name]
        assert float(lacking.norm() / change.norm()) == pytest.approx(module.error, rel=1e-3)

    checks = Checks(BaseShapes.read(tmp_path / "base"), 8, adapts_experts=True)
    spec = validate(tmp_path / "out", checks)
    assert isinstance(spec, AdapterSpec), spec
    assert spec.modules == ("experts", "q_proj")


@pytest.mark.parametrize("name", [*STACKED, "Qwen3-MoE"])
def test_experts_of_several_adapters_are_a_weighted_sum(name: str, tmp_path: Path) -> None:
    """`cat` is exact: PEFT merges the sum of the members' changes."""
    weights = {"m1": 0.5, "m2": -1.25}
    members = {f"m{seed}": made(name, tmp_path, seed) for seed in (1, 2)}
    expected = summed(tmp_path / "base", members, weights)

    write_composite(tmp_path / "both", "cat", weights)
    report = combine(tmp_path / "both", tmp_path / "base", tmp_path / "out")
    assert report.rank == 8
    found = peft_adapters.loaded(tmp_path / "base", tmp_path / "out").merged()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["linear", "ties", "dare_linear", "magnitude_prune"])
def test_every_method_takes_experts_one_by_one(method: str, tmp_path: Path) -> None:
    """Each expert is combined as a module of its own would be."""
    members = [made("gpt-oss", tmp_path, seed) for seed in (1, 2)]
    density = "" if method == "linear" else "density = 0.5"
    write_composite(tmp_path / "both", method, {"m1": 0.5, "m2": 2.0}, density)
    combine(tmp_path / "both", tmp_path / "base", tmp_path / "out")

    name = "model.layers.1.mlp.experts.down_proj"
    how = Method(method, density=0.5 if density else 1.0)
    base = load_file(tmp_path / "base" / "model.safetensors")[name]
    merged = peft_adapters.loaded(tmp_path / "base", tmp_path / "out").merged()[name]
    for expert, change in enumerate(merged - base):
        parts = [
            Part(number, weight, product_of(member.folder, expert))
            for number, (member, weight) in enumerate(zip(members, (0.5, 2.0), strict=True))
        ]
        a, b = combine_products(how, f"{name}[{expert}]", parts, 4)
        # gpt-oss has the transpose of each matrix.
        torch.testing.assert_close(change, torch.from_numpy(b @ a).T, rtol=1e-4, atol=1e-5)


def product_of(folder: Path, expert: int) -> LowRank:
    """Return what an adapter does to one expert's down_proj, as PEFT reads the file."""
    tensors = load_file(folder / "adapter_model.safetensors")
    prefix = "base_model.model.model.layers.1.mlp.experts"
    a = tensors[f"{prefix}.lora_A.weight"].numpy()
    b = tensors[f"{prefix}.lora_B.weight"].numpy()
    a = a.reshape(mixtures.EXPERTS, -1, a.shape[1])[expert]
    b = np.ascontiguousarray(b.reshape(len(b), -1, mixtures.EXPERTS)[:, :, expert])
    return LowRank(lambda: a, lambda: b, 4, 2.0)


def test_experts_of_several_ranks_need_a_method_for_them(tmp_path: Path) -> None:
    """The reason names the tensor, as it names a module."""
    made("gpt-oss", tmp_path, 1)
    made("gpt-oss", tmp_path, 2, rank_pattern={"down_proj": 2})
    write_composite(tmp_path / "both", "linear", {"m1": 1.0, "m2": 1.0})
    with pytest.raises(SetupError, match=r"rank in each module; '.*experts\.down_proj' differs"):
        combine(tmp_path / "both", tmp_path / "base", tmp_path / "out")


def test_values_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    """The tensor is named."""
    base = BaseWeights.of(BaseFiles.open(mixtures.make_base("gpt-oss", tmp_path / "base")))
    bad = np.full((2, 1, 3), np.inf, np.float32)
    update = ExpertProducts(lambda: bad, lambda: bad.transpose(0, 2, 1), 1, 1.0)
    with pytest.raises(SetupError, match=r"'experts\.down_proj' is not finite"):
        converted_weight("experts.down_proj", (update,), base, Rule(1, 0.5))


def write_composite(
    folder: Path, method: str, weights: dict[str, float], setting: str = ""
) -> None:
    folder.mkdir()
    lines = [f'method = "{method}"', setting]
    for name, weight in weights.items():
        lines += ["[[members]]", f'adapter = "{name}"', f"weight = {weight}"]
    (folder / "composite.toml").write_text("\n".join(lines))


def summed(
    base: Path, members: dict[str, peft_adapters.Made], weights: dict[str, float]
) -> dict[str, torch.Tensor]:
    """Return the parameters of the base with the weighted changes of PEFT's own merges."""
    first = next(iter(members.values()))
    plain = peft_adapters.loaded(base, first.folder).model.unload().state_dict()
    total = {name: value.detach().clone() for name, value in plain.items()}
    before = {name: value.clone() for name, value in total.items()}
    for name, member in members.items():
        for key, merged in member.merged().items():
            total[key] += weights[name] * (merged - before[key])
    return total
