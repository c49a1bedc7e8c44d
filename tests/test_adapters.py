"""The adapters that are shipped: their data, their recipes and their weights."""

from __future__ import annotations

import json
import re
from difflib import SequenceMatcher
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lorabay.base.default import BASE_REPOSITORY
from lorabay.catalog.adapter_defaults import AdapterDefaults
from lorabay.catalog.defaults.defaults_file import parse
from lorabay.training.dataset import Example, read_examples
from lorabay.training.recipe import read_recipe

ADAPTERS = Path(__file__).parents[1] / "adapters"
NAMES = ("ecommerce", "finance", "tech-support")
SETS = ("train", "heldout")

FORMATS = {
    "finance": r"[^\n]+\n(- [^\n]+\n){2,4}(Risk notice: |风险提示：)[^\n]+",
    "ecommerce": (
        r"[^\n]+\n((Order|Refund|Shipping): [^\n]+\n)+"
        r"Next steps:\n(Step \d: [^\n]+\n)+[^\n]+"
    ),
    "tech-support": (
        r"Symptom: [^\n]+\nLikely cause: [^\n]+\n(\d\. [^\n]+\n)+If it persists: [^\n]+"
    ),
}


def _examples(name: str, part: str) -> tuple[Example, ...]:
    return read_examples(ADAPTERS / name / "data" / f"{part}.jsonl")


def _normal(example: Example) -> str:
    return re.sub(r"\W+", " ", example.question.lower()).strip()


def test_these_are_all_adapters() -> None:
    """No adapter is shipped that the other tests do not look at."""
    assert tuple(sorted(path.name for path in ADAPTERS.iterdir() if path.is_dir())) == NAMES


@pytest.mark.parametrize("name", NAMES)
class TestData:
    def test_there_are_enough_examples(self, name: str) -> None:
        """At least 200 to learn from and 40 to measure on."""
        assert len(_examples(name, "train")) >= 200
        assert len(_examples(name, "heldout")) >= 40

    @pytest.mark.parametrize("part", SETS)
    def test_every_answer_has_the_house_format(self, name: str, part: str) -> None:
        """An adapter can only learn a format that all of its examples keep."""
        strays = [
            example.source
            for example in _examples(name, part)
            if not re.fullmatch(FORMATS[name], example.output)
        ]
        assert strays == []

    @pytest.mark.parametrize("part", SETS)
    def test_no_question_is_asked_twice(self, name: str, part: str) -> None:
        """Each question appears once, however it is spaced and capitalised."""
        questions = [_normal(example) for example in _examples(name, part)]
        assert len(questions) == len(set(questions))

    def test_held_out_questions_are_new(self, name: str) -> None:
        """No held-out question is nearly one of the training questions, so its loss measures more
        than memory.
        """
        matcher = SequenceMatcher(autojunk=False)
        trained = [_normal(example) for example in _examples(name, "train")]
        for example in _examples(name, "heldout"):
            matcher.set_seq2(_normal(example))
            for question in trained:
                matcher.set_seq1(question)
                if matcher.real_quick_ratio() > 0.75 and matcher.quick_ratio() > 0.75:
                    assert matcher.ratio() <= 0.75, f"{example.source} is nearly {question!r}"


@pytest.mark.parametrize("part", SETS)
def test_finance_is_bilingual(part: str) -> None:
    """A fifth to a third of the finance examples are Chinese, and each is answered in the language
    of its question.
    """
    examples = _examples("finance", part)
    chinese = [
        example for example in examples if re.search(r"[\u4e00-\u9fff]", example.instruction)
    ]
    assert 0.2 <= len(chinese) / len(examples) <= 0.34
    assert [
        example.source
        for example in examples
        if ("风险提示" in example.output) != (example in chinese)
    ] == []


@pytest.mark.parametrize("name", NAMES)
class TestFiles:
    def test_the_config_is_the_recipes(self, name: str) -> None:
        """The adapter that is shipped was trained from the recipe that is shipped, for the base
        that is served.
        """
        recipe = read_recipe(ADAPTERS / name).lora
        config = json.loads((ADAPTERS / name / "adapter_config.json").read_bytes())
        assert config["base_model_name_or_path"] == BASE_REPOSITORY
        assert (config["r"], config["lora_alpha"], config["use_rslora"]) == (
            recipe.rank,
            recipe.alpha,
            recipe.use_rslora,
        )
        assert tuple(config["target_modules"]) == recipe.target_modules

    def test_the_weights_are_small_and_sound(self, name: str) -> None:
        """At most 10 MB of finite bf16 numbers of the recipe's rank, and no tensor that training
        never reached.
        """
        recipe = read_recipe(ADAPTERS / name).lora
        path = ADAPTERS / name / "adapter_model.safetensors"
        weights = load_file(path)
        assert path.stat().st_size <= 10_000_000
        assert len(weights) == 2 * 30 * len(recipe.target_modules)
        for key, tensor in weights.items():
            assert tensor.dtype == torch.bfloat16
            assert tensor.isfinite().all(), key
            assert tensor.count_nonzero() > 0, key
            assert tensor.shape[0 if "lora_A" in key else 1] == recipe.rank, key

    def test_the_card_tells_what_matters(self, name: str) -> None:
        """Base, licence, data counts, recipe and how to reproduce it stand on the card, as they are
        in the files.
        """
        card = (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
        recipe = read_recipe(ADAPTERS / name)
        counts = [str(len(_examples(name, part))) for part in SETS]
        facts = [
            BASE_REPOSITORY,
            "Apache-2.0",
            "invented",
            f"lorabay train adapters/{name}",
            "perplexity",
            *counts,
        ]
        facts += [
            f"| {recipe.lora.rank}, {recipe.lora.alpha:g} |",
            f"| 2e-3, {recipe.training.epochs}, 4 |",
        ]
        assert [fact for fact in facts if fact not in card] == []


def test_an_adapter_halves_the_perplexity_of_its_own_data() -> None:
    """Each card's table, measured with `lorabay evaluate`, shows at most half of the base's
    perplexity.
    """
    for name in NAMES:
        card = (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
        rows = {
            cells[1].strip(" *`"): float(cells[2].strip(" *"))
            for cells in (line.split("|") for line in card.splitlines())
            if len(cells) > 4 and re.fullmatch(r"[\d.]+", cells[2].strip(" *"))
        }
        assert rows[name] <= rows["base"] / 2


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_says_how_it_is_used(name: str) -> None:
    """Its file is a valid one, and leaves to every request what it asks for."""
    defaults = parse((ADAPTERS / name / "lorabay.toml").read_bytes())
    assert isinstance(defaults, AdapterDefaults), defaults
    assert defaults.description
    assert name in defaults.tags
    assert [choice.value for field, choice in defaults.sampling if field == "temperature"] == [0.3]
    assert not any(choice.is_enforced for _, choice in defaults.sampling)
    assert "answered at 0.3" in (ADAPTERS / name / "README.md").read_text(encoding="utf-8")
