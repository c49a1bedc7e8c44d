"""How a model reads positions, whichever transformers wrote its config."""

from __future__ import annotations

import pytest
from transformers import LlamaConfig

from lorabay.base.context import Context, longer

SCALED = {"rope_type": "linear", "factor": 4.0}


def test_both_forms_say_the_same() -> None:
    """transformers 4 has two fields where transformers 5 has one, and an older name of the kind."""
    old = {"max_position_embeddings": 64, "rope_theta": 1e4, "rope_scaling": dict(SCALED)}
    older = old | {"rope_scaling": {"type": "linear", "factor": 4.0}}
    new = {"max_position_embeddings": 64, "rope_parameters": SCALED | {"rope_theta": 1e4}}
    nested = {"text_config": new, "max_position_embeddings": 7}
    assert Context.of(old) == Context.of(older) == Context.of(new) == Context.of(nested)
    plain = {"rope_theta": 1e4, "rope_scaling": None, "max_position_embeddings": 64}
    saved = LlamaConfig(max_position_embeddings=64, rope_theta=1e4).to_dict()
    assert Context.of(plain).differences(Context.of(saved)) == ()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"max_position_embeddings": 128}, ["128 positions in place of 64"]),
        ({"rope_theta": 5e5}, ["rope_theta 500000 in place of 10000"]),
        ({"rope_scaling": SCALED}, ["another scaling of positions"]),
        ({"max_position_embeddings": 32}, []),
        ({"rope_scaling": None}, []),
        ({"rope_theta": 1e4}, []),
        ({}, []),
        ({"rope_scaling": "strange", "rope_theta": "x", "max_position_embeddings": "y"}, []),
    ],
)
def test_what_differs_is_told(fields: dict[str, object], words: list[str]) -> None:
    """What a config leaves open, and a shorter length, are no difference."""
    base = Context.of(
        {
            "max_position_embeddings": 64,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4},
        }
    )
    assert list(Context.of(fields).differences(base)) == words


def test_layers_that_differ_among_themselves_are_not_compared() -> None:
    """Some models have parameters for each kind of layer, which older configs do not know."""
    kinds = {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 1e6}}}
    assert Context.of(kinds).differences(Context.of({"rope_scaling": SCALED})) == ()


def test_a_shorter_length_is_not_taken_over() -> None:
    """It is how long the training's texts were."""
    base = Context.of({"max_position_embeddings": 64})
    config = {"max_position_embeddings": 32, "rope_theta": 1e4, "vocab_size": 7}
    assert longer(config, base) == {"rope_theta": 1e4}
    assert longer(config | {"max_position_embeddings": 99}, base)["max_position_embeddings"] == 99


def test_a_number_that_no_float_holds_is_left_open() -> None:
    """JSON has whole numbers of any size."""
    assert Context.of({"rope_theta": 10**400}).theta is None
