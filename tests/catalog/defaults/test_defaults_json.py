"""Defaults as JSON and back."""

from __future__ import annotations

import json

import pytest

from lorabay.catalog.adapter_defaults import NO_DEFAULTS, AdapterDefaults, Choice
from lorabay.catalog.defaults.defaults_json import as_json, from_json, in_brief
from lorabay.rollout.policy import read_policy

ALL = AdapterDefaults(
    chat_template="{{ messages }}",
    end_tokens=("<|turn|>",),
    system_prompt=Choice("Be brief.", is_enforced=True),
    sampling=(("max_tokens", Choice(7, is_enforced=True)), ("stop", Choice(("a", "b")))),
    description="An adapter",
    tags=("one", "two"),
    rollout=read_policy({"steps": ["5:10m", "100"], "guards": {"length": "off"}}),
)


@pytest.mark.parametrize("defaults", [ALL, NO_DEFAULTS, AdapterDefaults(tags=("one",))])
def test_nothing_is_lost_on_the_way(defaults: AdapterDefaults) -> None:
    """Through a file and back they are equal, tuples included."""
    assert from_json(json.loads(json.dumps(as_json(defaults)))) == defaults


def test_what_is_open_is_left_out() -> None:
    """So that a field of a later version changes no digest."""
    assert as_json(NO_DEFAULTS) == {}
    assert as_json(AdapterDefaults(description="An adapter")) == {"description": "An adapter"}


@pytest.mark.parametrize("value", [0, 0.0, ""])
def test_a_value_that_counts_as_false_is_a_value(value: object) -> None:
    """A temperature of 0 is no open one."""
    (stated,) = as_json(AdapterDefaults(sampling=(("x", Choice(value)),))).values()  # type: ignore[arg-type]
    assert stated == {"x": {"value": value, "enforced": False}}


def test_a_list_of_many_tells_a_template_by_its_size_and_digest() -> None:
    """The other fields are as they are; other templates have other digests."""
    brief = in_brief(ALL)
    assert brief.pop("chat_template")["characters"] == len("{{ messages }}")
    whole = as_json(ALL)
    del whole["chat_template"]
    assert brief == whole
    other = in_brief(AdapterDefaults(chat_template="{{ message }}"))
    assert other["chat_template"]["sha256"] != in_brief(ALL)["chat_template"]["sha256"]
