"""Each variant has keys of its own, and refuses those of others."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from lorabay.training.variant_tables import (
    AdaLoraVariant,
    FullVariant,
    LongLoraVariant,
    LoraPlusVariant,
    PlainVariant,
    VariantTable,
    VeraVariant,
)

TABLES = (
    PlainVariant,
    LoraPlusVariant,
    AdaLoraVariant,
    VeraVariant,
    LongLoraVariant,
    FullVariant,
)


def _read(table: dict[str, Any]) -> Any:
    return TypeAdapter(VariantTable).validate_python(table)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ({"name": "dora"}, PlainVariant),
        ({"name": "lora+", "ratio": 4.0}, LoraPlusVariant),
        ({"name": "adalora", "initial_rank": 12}, AdaLoraVariant),
        ({"name": "vera", "rate": 3}, VeraVariant),
        ({"name": "longlora", "context": 4096}, LongLoraVariant),
        ({"name": "full"}, FullVariant),
    ],
)
def test_the_name_decides(table: dict[str, Any], kind: type) -> None:
    """Which keys there are follows from it."""
    assert type(_read(table)) is kind


@pytest.mark.parametrize(
    "table",
    [
        {"name": "dora", "ratio": 4.0},
        {"name": "full", "initial_rank": 4},
        {"name": "longlora"},
        {"name": "vera", "rate": 0},
        {"name": "adalora", "warmup": 1.0},
        {"name": "loha"},
    ],
)
def test_what_does_not_fit_is_refused(table: dict[str, Any]) -> None:
    """Keys of others, values that train nothing, and names that nobody knows."""
    with pytest.raises(ValidationError):
        _read(table)


def test_every_key_says_what_it_means() -> None:
    """In a sentence, with its default."""
    fields = [
        (table, name, field) for table in TABLES for name, field in table.model_fields.items()
    ]
    assert len(fields) >= 14
    for table, name, field in fields:
        assert field.description is not None, (table, name)
        assert field.description.endswith("."), (table, name)
        assert field.is_required() or "Default:" in field.description, (table, name)
