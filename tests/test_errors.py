"""The errors that users see."""

from __future__ import annotations

import pytest

from lorabay import errors
from lorabay.errors import (
    AdapterRejected,
    ContextLengthExceeded,
    InvalidRequest,
    LorabayError,
    ModelNotFound,
    SetupError,
    UsageError,
)

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, LorabayError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_told_apart(kind: type[LorabayError]) -> None:
    """Each error has a fitting status, a code and a sentence on its meaning."""
    assert len(KINDS) >= 12
    assert 400 <= kind.status < 600
    assert kind.code.replace("_", "").isalpha()
    assert kind.__doc__ is not None
    assert kind.exit_code in (1, 2)


def test_only_usage_errors_exit_with_2() -> None:
    """A mistake on the command line or in a setting exits with 2, every other failure with 1."""
    assert UsageError("x").exit_code == 2
    assert {kind.exit_code for kind in KINDS if kind is not UsageError} == {1}
    assert SetupError("x").exit_code == 1


def test_messages_are_what_str_shows() -> None:
    """Logs and the envelope show the same sentence."""
    assert (
        str(ModelNotFound("finance"))
        == ModelNotFound("finance").message
        == "The model `finance` does not exist."
    )
    assert ModelNotFound("finance", message="gone").message == "gone"


def test_all_reasons_of_a_rejection_are_told() -> None:
    """The message holds every reason, and so does the error."""
    error = AdapterRejected("finance", ("rank 0", "no weights"))
    assert error.reasons == ("rank 0", "no weights")
    assert "rank 0" in error.message
    assert "no weights" in error.message


def test_a_request_may_be_wrong_in_its_own_way() -> None:
    """A media type that is not accepted is the client's mistake, under another status."""
    assert (InvalidRequest("x").status, InvalidRequest("x", status=415).status) == (400, 415)


def test_a_prompt_that_is_too_long_is_told_in_the_words_of_clients() -> None:
    """Those by which they find out that a conversation has to be shortened."""
    error = ContextLengthExceeded("at most 2048 tokens", param="input_tokens")
    assert error.message == str(error) == "prompt is too long: at most 2048 tokens"
    assert (error.status, error.param) == (400, "input_tokens")
