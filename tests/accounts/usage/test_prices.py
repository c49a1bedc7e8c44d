"""Prices: the most specific one counts, and no float ever touches an amount."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from lorabay.accounts.usage.prices import Price, Prices, read
from lorabay.errors import SetupError

FILE = """
currency = "EUR"
decimals = 4

[[price]]
prompt = 0.1
cached = 0.01
generated = 0.4

[[price]]
adapter = "finance"
prompt = 0.2
generated = 0.8

[[price]]
tenant = "acme"
prompt = 1
generated = 2

[[price]]
tenant = "acme"
adapter = "finance"
prompt = "3"
generated = 4
"""

FOR_ONE = """
currency = "EUR"

[[price]]
adapter = "finance"
prompt = 1
generated = 1
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text)
    return path


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return read(write(tmp_path, FILE))


@pytest.mark.parametrize(
    ("tenant", "adapter", "prompt"),
    [
        ("acme", "finance", "3"),
        ("acme", "shop", "1"),
        ("other", "finance", "0.2"),
        ("other", "shop", "0.1"),
    ],
)
def test_the_most_specific_price_counts(
    prices: Prices, tenant: str, adapter: str, prompt: str
) -> None:
    """Tenant and adapter, then the tenant, then the adapter, then everybody."""
    assert prices.of(tenant, adapter).prompt == Decimal(prompt)


def test_numbers_of_the_file_are_taken_as_they_are_written(prices: Prices) -> None:
    """A tenth is a tenth; three million tokens cost three times the price of one."""
    everybody = prices.of("other", "shop")
    assert everybody.amount(3_000_000, 0, 0) == Decimal("0.3")
    assert everybody.amount(3_000_000, 1_000_000, 1_000_000) == Decimal("0.61")


def test_cached_tokens_cost_as_much_as_others_unless_they_have_a_price(prices: Prices) -> None:
    """They are part of the prompt."""
    assert prices.of("acme", "shop").amount(10, 5, 0) == Decimal("0.00001")


@given(
    prompt=st.integers(0, 10**12),
    cached=st.integers(0, 10**12),
    generated=st.integers(0, 10**12),
    price=st.decimals(0, 1000, places=6),
)
def test_amounts_are_exact_sums(prompt: int, cached: int, generated: int, price: Decimal) -> None:
    """What two exchanges cost together is the sum of what each costs."""
    one = Price(prompt=price, cached=price / 2, generated=price * 2)
    both = one.amount(prompt + 1, cached, generated + 2)
    assert both == one.amount(prompt, cached, generated) + one.amount(1, 0, 2)


@pytest.mark.parametrize(
    ("exact", "told"),
    [("0.00005", "0.0001"), ("0.00004999", "0.0000"), ("2", "2.0000")],
)
def test_halves_are_rounded_up(prices: Prices, exact: str, told: str) -> None:
    """To the digits that the file says."""
    assert str(prices.rounded(Decimal(exact))) == told


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (FOR_ONE, "everybody"),
        ("currency = ", "cannot be read"),
        ('currency = "EUR"\nprice = []', "price"),
        (FILE.replace('"EUR"', '"euros"'), "currency"),
        (FILE.replace("0.4", "-1"), "price.0.generated"),
        (FILE.replace("0.4", "nan"), "price.0.generated"),
        (FILE.replace("0.4", "inf"), "price.0.generated"),
        (FILE.replace("cached", "chached"), "price.0.chached"),
        (FILE.replace('tenant = "acme"', ""), "two prices for"),
        (FILE.replace("decimals = 4", "decimals = 40"), "decimals"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, problem: str) -> None:
    """In one line that names the file."""
    path = write(tmp_path, text)
    with pytest.raises(SetupError, match=problem) as refused:
        read(path)
    assert str(path) in refused.value.message
    assert "\n" not in refused.value.message


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """With its name."""
    with pytest.raises(SetupError, match=r"missing\.toml cannot be read"):
        read(tmp_path / "missing.toml")
