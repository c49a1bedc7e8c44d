"""What an engine said of a base's modules, and the reasons that follow."""

from __future__ import annotations

from lorabay.catalog.adapted import Adapted, NotAsked

HEAD = Adapted({"lm_head": "its class takes none"})


def test_a_module_that_the_engine_leaves_alone_is_a_reason() -> None:
    """With the engine's own words; every other module of the base passes."""
    (reason,) = HEAD.problems(["model.layers.0.self_attn.q_proj", "lm_head"])
    assert reason.code == "module_not_adapted"
    assert reason.text == (
        "the adapter changes 'lm_head', which the engine does not adapt: its class takes none"
    )
    assert list(HEAD.problems(["model.layers.0.self_attn.q_proj"])) == []


def test_another_answer_is_another_judgement() -> None:
    """Equal answers are one, in whatever order they came."""
    answers = [{}, {"a": "x"}, {"a": "y"}, {"a": "x", "b": "y"}]
    assert len({Adapted(answer).identity for answer in answers}) == len(answers)
    assert Adapted({"b": "y", "a": "x"}).identity == Adapted(answers[-1]).identity


def test_no_answer_says_why() -> None:
    """For whoever reads the verdict."""
    assert NotAsked("vLLM is not installed here").sentence == (
        "the engine was not asked which modules it adapts: vLLM is not installed here"
    )


def test_ends_of_names_tell_which_versions_need_a_closer_look() -> None:
    """As specs have them: `experts` for whatever lies in a mixture."""
    adapted = Adapted({"model.layers.0.mlp.experts.3.w1": "x", "lm_head": "y"})
    assert adapted.unadapted_ends == {"experts", "lm_head"}
