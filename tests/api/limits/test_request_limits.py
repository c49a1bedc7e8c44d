"""Every limit of a request is a setting."""

from __future__ import annotations

from dataclasses import fields

from lorabay.api.limits.request_limits import RequestLimits
from lorabay.settings import Settings


def test_limits_are_called_like_their_settings() -> None:
    """So that an answer can name the setting that an operator has to change."""
    assert {limit.name for limit in fields(RequestLimits)} <= Settings.model_fields.keys()
