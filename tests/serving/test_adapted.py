"""The engine is asked in a process of its own, and a kept answer is not asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.adapted import Adapted, NotAsked
from lorabay.errors import UsageError
from lorabay.serving import adapted
from lorabay.serving.adapted import EngineHelper, ask_engine, do_not_ask, modules_of
from tests import making

ANSWER = {"unadapted": {"lm_head": "its class takes none"}}


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "tiny")


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper that says what the option `answer` holds."""
    monkeypatch.setattr(adapted, "HELPER", "tests.serving.fake_helper")


def ask(base: Path, **options: Any) -> Adapted | NotAsked:
    return ask_engine(base, options, BaseShapes.read(base), cache=base.parent / "cache")


def test_the_answer_is_the_helpers(base: Path) -> None:
    assert ask(base, answer=ANSWER) == Adapted(ANSWER["unadapted"])


def test_a_kept_answer_is_not_asked_for_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options without influence do not matter; another base, option or variable is asked for."""
    ask(base, answer=ANSWER)
    monkeypatch.setattr(adapted, "HELPER", "tests.serving.no_such_helper")
    assert ask(base, answer=ANSWER) == Adapted(ANSWER["unadapted"])
    unchanged = {"max_loras": 4, "max_lora_rank": 64, "data_parallel_size": 2}
    assert isinstance(ask(base, answer=ANSWER, **unchanged), Adapted)

    assert isinstance(ask(base, answer=ANSWER, lora_target_modules=["q_proj"]), NotAsked)
    with monkeypatch.context() as patch:
        patch.setenv("VLLM_MLA_DISABLE", "1")
        assert isinstance(ask(base, answer=ANSWER), NotAsked)
    (base / "config.json").write_text("{}")
    assert isinstance(ask(base, answer=ANSWER), NotAsked)


def test_a_folder_that_keeps_nothing_costs_a_question_each_time(base: Path) -> None:
    """The answer is the same."""
    (base.parent / "cache").write_text("a file")
    assert ask(base, answer=ANSWER) == ask(base, answer=ANSWER) == Adapted(ANSWER["unadapted"])


def test_wrong_options_are_a_usage_error(base: Path) -> None:
    """They are the server's own, and would end its start a minute later."""
    with pytest.raises(UsageError, match="unknown engine option 'max_lora'"):
        ask(base, answer={"wrong": "unknown engine option 'max_lora'"})


def test_what_is_not_known_is_no_answer_and_is_not_kept(base: Path) -> None:
    """vLLM has no class for the base, or the process dies: its load is then the first to tell."""
    unknown = ask(base, answer={"unknown": "no such architecture"})
    assert unknown == NotAsked("vLLM makes no model of the base: no such architecture")
    died = ask(base)
    assert died == NotAsked("vLLM makes no model of the base: the process ended with code 1")
    assert not (base.parent / "cache").exists()


def test_without_vllm_nobody_is_asked(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A light install has no engine."""
    monkeypatch.setattr(adapted, "has_engine", lambda: False)
    assert ask(base, answer=ANSWER) == NotAsked("vLLM is not installed here")
    assert do_not_ask(BaseShapes.read(base)) == NotAsked("--no-ask-engine")


def test_adapters_of_packed_experts_are_asked_about_by_their_two_names(base: Path) -> None:
    """PEFT puts the second parameter's below the first's, whether the base packs them or not."""
    shapes = BaseShapes.read(base)
    packed = {"model.layers.0.mlp.experts.gate_up_proj": (4, 16, 64)}
    asked = set(modules_of(BaseShapes({}, (), None, tied=False, tensors=packed)))
    assert asked == {"model.layers.0.mlp.experts", "model.layers.0.mlp.experts.base_layer"}
    assert set(modules_of(shapes)) == set(shapes.shapes)


def test_a_helper_that_was_started_before_answers(base: Path) -> None:
    """And is ended, whether it was asked or not."""
    shapes = BaseShapes.read(base)
    cache = base.parent / "cache"
    for _ in range(2):
        helper = EngineHelper.start()
        assert isinstance(
            ask_engine(base, {"answer": ANSWER}, shapes, cache=cache, helper=helper), Adapted
        )
        assert helper._process.poll() is not None
