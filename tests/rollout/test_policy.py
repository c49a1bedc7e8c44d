"""How a rollout is asked for, in its one form."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from lorabay.rollout.assignment import By
from lorabay.rollout.guards import Guards
from lorabay.rollout.policy import Policy, read_policy
from lorabay.rollout.steps import Step


def test_a_whole_policy() -> None:
    """Steps, what stays with its version, and limits."""
    found = read_policy({"steps": ["5:10m", "100"], "by": "key", "guards": {"length": "off"}})
    assert found == Policy((Step(5, 600), Step(100, 0)), By.KEY, Guards(length=None))
    assert read_policy({"steps": ["10"]}) == Policy((Step(10, None),), By.USER, Guards())


@given(
    st.lists(st.integers(0, 99_999), min_size=1, max_size=5, unique=True).map(sorted),
    st.integers(0, 2_592_000),
    st.sampled_from(By),
    st.floats(1, 1000) | st.just("off"),
)
def test_nothing_is_lost_in_its_json(
    thousandths: list[int], hold_s: int, by: By, limit: float | str
) -> None:
    """It reads back as itself, however small a share and however long a time."""
    steps = [f"{share / 1000:.3f}:{hold_s}s" for share in thousandths]
    policy = read_policy({"steps": steps, "by": str(by), "guards": {"speed": limit}})
    assert read_policy(json.loads(json.dumps(policy.as_json()))) == policy


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({}, "steps must be a list"),
        ({"steps": "5:10m"}, "steps must be a list"),
        ({"steps": [5]}, "each step must be a text"),
        ({"steps": ["5"], "by": "ip"}, "key, user, session"),
        ({"steps": ["5"], "by": []}, "key, user, session"),
        ({"steps": ["5"], "guards": []}, "guards must be a table"),
        ({"steps": ["5"], "share": 5}, "'share' is unknown"),
        ({"steps": ["5"], "guards": {"length": 0}}, "length must be"),
    ],
)
def test_what_is_wrong_is_said(wishes: dict[str, object], told: str) -> None:
    """Each mistake has its own words."""
    with pytest.raises(ValueError, match=told):
        read_policy(wishes)
