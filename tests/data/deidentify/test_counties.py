"""China's counties."""

from __future__ import annotations

from lorabay.data.deidentify.counties import areas


def test_a_year_has_the_counties_of_its_time() -> None:
    """Xuanwu was one of Beijing until 2010."""
    assert "110104" in areas("11", 1990)
    assert "110104" not in areas("11", 2015)


def test_a_province_has_counties_in_any_year() -> None:
    """And one that there is not has none."""
    assert areas("11", 1)
    assert areas("99", 2000) == ()
