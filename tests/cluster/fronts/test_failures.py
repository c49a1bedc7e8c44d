"""Failures arrive as they were."""

from __future__ import annotations

import json

import pytest

from lorabay.cluster.fronts import failures
from lorabay.errors import (
    AdapterConflict,
    AdapterRejected,
    EngineUnavailable,
    InvalidRequest,
    LorabayError,
    ModelNotFound,
    StorageUnavailable,
)


@pytest.mark.parametrize(
    "error",
    [
        AdapterConflict("it is live", param="name"),
        AdapterRejected("finance", ("no tensors", "no config"), codes=("a", "b")),
        InvalidRequest("no", param="share", status=413),
        ModelNotFound("finance"),
        StorageUnavailable("away", retry_after=7.0),
    ],
)
def test_a_failure_travels_as_it_is(error: LorabayError) -> None:
    """Its class, status, code, message and what else clients are told."""
    arrived = failures.from_json(json.loads(json.dumps(failures.to_json(error))))
    assert type(arrived) is type(error)
    assert (arrived.message, arrived.param, arrived.retry_after) == (
        error.message,
        error.param,
        error.retry_after,
    )
    assert (arrived.status, arrived.code) == (error.status, error.code)
    assert [list(reasons) for reasons in _lists(arrived)] == [list(each) for each in _lists(error)]


def _lists(error: LorabayError) -> list[tuple[str, ...]]:
    return [getattr(error, name, ()) for name in ("reasons", "codes")]


def test_a_failure_of_a_newer_release_keeps_its_message() -> None:
    """Its class is not known here."""
    told = {"kind": "NewFailure", "fields": {"message": "something new"}}
    arrived = failures.from_json(told)
    assert isinstance(arrived, EngineUnavailable)
    assert arrived.message == "something new"
    assert isinstance(failures.from_json(told | {"kind": "Mapping"}), EngineUnavailable)
