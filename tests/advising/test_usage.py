"""Traffic from what a server counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.advising.usage import traffic_of_usage
from lorabay.errors import SetupError


def usage(path: Path, *lines: tuple[str, str, int]) -> Path:
    rows = [
        {"day": day, "adapter": adapter, "requests": 1, "generated_tokens": count}
        for day, adapter, count in lines
    ]
    path.write_text(json.dumps({"by": ["day", "adapter"], "lines": rows, "total": {}}))
    return path


def test_the_busiest_day_counts(tmp_path: Path) -> None:
    """Lines of one day add up, as those of two tenants do; the base is left out."""
    told = usage(
        tmp_path / "usage.json",
        ("2026-11-01", "shop", 86_400),
        ("2026-11-02", "shop", 86_400),
        ("2026-11-02", "shop", 86_400),
        ("2026-11-02", "finance", 43_200),
        ("2026-11-02", "__base__", 10**9),
    )
    assert traffic_of_usage(told, 3.0) == {"finance": 1.5, "shop": 6.0}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not what"),
        ("[]", "is not what"),
        ('{"lines": [{"adapter": "shop", "generated_tokens": 1}]}', "no 'day'"),
        ('{"lines": []}', "has no adapter"),
        ("[" * 100_000, "is not what"),
        *(
            (f'{{"lines": [{{"adapter": "a", "day": "d", "generated_tokens": {count}}}]}}', "what")
            for count in ("Infinity", "NaN", "-1", "9" * 400, "1e400")
        ),
    ],
)
def test_another_file_is_one_line(tmp_path: Path, text: str, problem: str) -> None:
    """It says which command prints the right one."""
    path = tmp_path / "usage.json"
    path.write_text(text)
    with pytest.raises(SetupError, match=problem):
        traffic_of_usage(path, 1.0)
