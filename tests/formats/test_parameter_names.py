"""Bare parameters are found in the base by what they were called in the training."""

from __future__ import annotations

import pytest

from lorabay.formats.parameter_names import renamed_targets, trained_parameters

OWN = {
    f"model.layers.{layer}.mlp.experts": f"model.language_model.layers.{layer}.mlp.experts"
    for layer in range(2)
} | {"model.layers.0.self_attn.q_proj": "model.language_model.layers.0.self_attn.q_proj"}


def parameter(layer: int, *, own: bool = False) -> str:
    inside = "model.language_model" if own else "model"
    return f"{inside}.layers.{layer}.mlp.experts.down_proj"


@pytest.mark.parametrize("target", ["down_proj", "mlp.experts.down_proj"])
def test_an_end_means_the_parameter_of_every_layer(target: str) -> None:
    """It stays in the config, so that a layer without tensors is noticed."""
    found = trained_parameters(OWN, [target])
    expected = {parameter(layer): parameter(layer, own=True) for layer in range(2)}
    assert {name: found[name] for name in expected} == expected
    assert list(renamed_targets([target], found)) == [target]


def test_a_whole_name_means_one_and_gets_the_bases() -> None:
    """Also an end that is long enough to speak of what the base does not have."""
    found = trained_parameters(OWN, [parameter(1, own=True)])
    assert found == {parameter(1): parameter(1, own=True)}
    end = "language_model.layers.1.mlp.experts.down_proj"
    for target in (parameter(1, own=True), end):
        assert list(renamed_targets([target], found)) == [parameter(1)]


def test_a_target_of_nothing_stays() -> None:
    """The format refuses it by its name."""
    assert trained_parameters(OWN, ["gate_up_proj.weight"]) == {}
    assert list(renamed_targets(["mlp.other"], {})) == ["mlp.other"]


@pytest.mark.parametrize("targets", [None, "down_proj", [3], {}])
def test_what_is_no_list_of_names_means_nothing(targets: object) -> None:
    """A config may hold anything."""
    assert trained_parameters(OWN, targets) == {}
    assert list(renamed_targets(targets, {})) == []
