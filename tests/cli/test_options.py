"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.cli.options import name_and_value, places, prepared_base
from lorabay.errors import UsageError

pytestmark = pytest.mark.usefixtures("no_settings_in_environment")


def test_places_are_those_of_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up where the server looks, and a flag wins over the environment."""
    monkeypatch.setenv("LORABAY_ADAPTERS", "/models/adapters")
    monkeypatch.setenv("LORABAY_STORE", "/models/store")
    where = places(None, Path("/elsewhere"))
    assert (where.adapters, where.store) == (Path("/models/adapters"), Path("/elsewhere"))


def test_a_base_that_is_named_is_taken_as_it_is() -> None:
    """Only without a name is the default base prepared."""
    assert prepared_base("/models/llama") == Path("/models/llama")


def test_names_and_values_are_split_at_the_first_equals_sign() -> None:
    assert name_and_value('speculative_config={"a": "b=c"}') == (
        "speculative_config",
        '{"a": "b=c"}',
    )
    with pytest.raises(UsageError, match="is not NAME=VALUE"):
        name_and_value("max_loras")
