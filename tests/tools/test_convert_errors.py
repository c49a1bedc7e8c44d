"""The cost of converting, by format: rank and error of the result, and PEFT's answers with it.

A tiny model is used; `--whole-base` converts on the default base. The figures are printed at the
end as a table.
"""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from lorabay.base.transformers_quiet import quiet_transformers
from lorabay.errors import SetupError
from lorabay.tools.convert import Conversion, ConvertSettings, convert
from tests.merge import trained

HEADER = (
    "| format | base | rank | relative error | logit difference, of the adapter's effect "
    "| error at rank 4 |",
    "|---|---|---|---|---|---|",
)
EXACT = (
    *(
        "LoRA",
        "LoRA+",
        "LoRA-FA",
        "rsLoRA",
        "LoRA, all linear layers",
        "LoRA, rank_pattern and alpha_pattern",
    ),
    "LoRA, layers_to_transform",
    *(
        "PiSSA",
        "OLoRA",
        "CorDA",
        "AdaLoRA",
        "VeRA, projections saved",
        "VeRA, projections from the seed",
    ),
    *(
        "LoRA, embeddings and head",
        "LoRA, embeddings of a tied base",
        "LoRA, ensure_weight_tying",
        "LoHa",
        "LoKr",
    ),
)
"""Formats whose change is a product of two small matrices."""
NEAR = ("DoRA", "(IA)³")
"""Those that are cut, within the error that is allowed."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        whole = metafunc.config.getoption("--whole-base")
        metafunc.parametrize("name", [*EXACT, *NEAR] if whole else list(trained.FORMATS))


@pytest.fixture(scope="module")
def base(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.config.getoption("--whole-base"):
        return Path(request.getfixturevalue("prepared").folder)
    return trained.tiny_llama(tmp_path_factory.mktemp("llama") / "tiny")


@pytest.fixture(scope="module")
def table(figures: list[str]) -> list[str]:
    figures += HEADER
    return figures


@pytest.mark.timeout(900)
def test_a_format(
    name: str, base: Path, tmp_path: Path, table: list[str], pytestconfig: pytest.Config
) -> None:
    """Products are exact; others are within the allowed error or refused, and answers follow."""
    rate = trained.GENTLE_RATE if pytestconfig.getoption("--whole-base") else trained.RATE
    try:
        made = trained.train(name, trained.FORMATS[name], base, tmp_path / "adapter", rate=rate)
        found = converted(tmp_path / "adapter", base, tmp_path / "out", max_error=1.0)
        cut = converted(tmp_path / "adapter", base, tmp_path / "cut", rank=4, max_error=1.0)
        if isinstance(found, str):
            table.append(f"| {name} | {base.name} | refused | {found} | | |")
            assert name not in (*EXACT, *NEAR)
            return
        of_effect, of_largest = difference(base, tmp_path / "out", made)
        error = "exact" if found.exact else f"{found.error:.1e}"
        told = cut if isinstance(cut, str) else "exact" if cut.exact else f"{cut.error:.2f}"
        table.append(
            f"| {name} | {base.name} | {found.rank} | {error} | {of_effect:.1e} | {told} |"
        )
    finally:
        shutil.rmtree(tmp_path)
    assert found.exact == (name in EXACT)
    assert of_largest < 1e-4 if found.exact else of_effect < 0.2


def converted(adapter: Path, base: Path, output: Path, **settings: Any) -> Conversion | str:
    """Return the report; or the reason why there is none, short enough for a table."""
    initial = adapter / "init"
    try:
        return convert(
            adapter,
            base,
            output,
            ConvertSettings(initial=initial if initial.exists() else None, **settings),
        )
    except SetupError as error:
        return " ".join(error.message.partition("cannot be converted: ")[2].split()[:8]) + " …"


def difference(base: Path, folder: Path, made: trained.Trained) -> tuple[float, float]:
    """Return the largest difference as a share of the effect, and of the largest logit."""
    with quiet_transformers():
        model = peft.PeftModel.from_pretrained(trained.load(base), folder).eval()
    ours, theirs = torch.cat(trained.answer(model, made.inputs)), torch.cat(made.answers)
    largest = float((ours - theirs).abs().max())
    return largest / float((theirs - answers_of(base)).abs().max()), largest / float(
        theirs.abs().max()
    )


@cache
def answers_of(base: Path) -> torch.Tensor:
    return torch.cat(trained.answer(trained.load(base), trained.inputs_for(base, trained.PROMPTS)))
