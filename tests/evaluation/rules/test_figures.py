"""Figures have one form, however they are written."""

from __future__ import annotations

import pytest

from lorabay.evaluation.rules.figures import figures


@pytest.mark.parametrize(
    ("texts", "value", "unit"),
    [
        (("$1,000", "1000 dollars", "1000美元"), "1000", "dollar"),
        (("five minutes", "5 minutes", "5分钟"), "5", "minute"),
        (("2.90%", "2.9 percent", "约2.9%起"), "2.9", "percent"),
        (("a 6-month term", "6个月"), "6", "month"),
        (("15 business days", "15个工作日"), "15", "business day"),
        (("code E-21", "代码e-21。"), "E-21", "code"),
        (("at 08:00", "从8:00起"), "8:00", "clock"),
        (("1. Hold for 8 seconds", "Step 1: Hold for 8 seconds"), "8", "second"),
        (("40 devices",), "40", None),
    ],
)
def test_a_figure_is_read(texts: tuple[str, ...], value: str, unit: str | None) -> None:
    """In English and in Chinese, without the numbers of steps."""
    for text in texts:
        assert [(one.value, one.unit) for one in figures(text)] == [(value, unit)], text


def test_a_figure_without_a_unit_is_like_any() -> None:
    """Two units are not."""
    days, dollars, plain = (figures(text)[0] for text in ("30 days", "30 dollars", "30"))
    assert plain.says(days)
    assert days.says(plain)
    assert not days.says(dollars)
