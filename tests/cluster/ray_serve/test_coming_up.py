"""Whether replicas on Ray come up, as far as Ray tells."""

from __future__ import annotations

import pytest

from lorabay.cluster.ray_serve.coming_up import ComingUp
from lorabay.errors import SetupError
from tests.clocks import Clock
from tests.cluster.ray_serve.told import told

PENDING = "2 replicas have taken more than 30s to be scheduled"


def test_they_are_up_when_ray_says_so() -> None:
    coming_up = ComingUp(600, clock=Clock(0.0))
    assert not coming_up.is_over(told("DEPLOYING", "n1", "n2"))
    assert not coming_up.is_over(told("UNHEALTHY", "n1"))
    assert coming_up.is_over(told("RUNNING", "n1", "n2"))


def test_a_failure_is_told_with_its_reason() -> None:
    """Ray says it of the deployment; of the application only that it has failed."""
    with pytest.raises(SetupError, match="no such base"):
        ComingUp(600).is_over(told("DEPLOY_FAILED", message="no such base"))
    with pytest.raises(SetupError, match="was deleted"):
        ComingUp(600).is_over(None)


def test_replicas_without_a_place_do_not_wait_for_ever() -> None:
    """A machine may be on its way; while some find places, the others may still."""
    clock = Clock(0.0)
    coming_up = ComingUp(600, clock=clock)
    coming_up.is_over(told("DEPLOYING", None, None, message=PENDING))
    clock.now = 599
    coming_up.is_over(told("DEPLOYING", "n1", None, message=PENDING))
    clock.now = 1198
    coming_up.is_over(told("DEPLOYING", "n1", None, message=PENDING))
    clock.now = 1199
    with pytest.raises(SetupError, match=f"1 of them found no place.*--ray-gpus.*{PENDING}"):
        coming_up.is_over(told("DEPLOYING", "n1", None, message=PENDING))


def test_a_replica_with_a_place_has_its_time() -> None:
    """An engine may take longer to start than a machine to come."""
    clock = Clock(0.0)
    coming_up = ComingUp(600, clock=clock)
    coming_up.is_over(told("DEPLOYING", "n1", "n2"))
    clock.now = 3600
    assert not coming_up.is_over(told("DEPLOYING", "n1", "n2"))
