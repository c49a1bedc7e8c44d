"""The key of surrogates."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lorabay.data.deidentify.keys import VARIABLE, Key, read_key
from lorabay.errors import SetupError, UsageError

SECRET = "0123456789abcdef"


def test_draws_are_the_same_each_time_and_others_with_another_key() -> None:
    """And all but equally likely."""
    draws = Key(b"one").draws("NAME", "Ann")
    drawn = [draws.below(10) for _ in range(2000)]
    again = Key(b"one").draws("NAME", "Ann")
    assert drawn == [again.below(10) for _ in range(2000)]
    other = Key(b"two").draws("NAME", "Ann")
    assert drawn != [other.below(10) for _ in range(2000)]
    assert all(140 < count < 260 for count in Counter(drawn).values())
    assert set(drawn) == set(range(10))


def test_a_key_is_read_from_a_file_or_the_environment(tmp_path: Path) -> None:
    """Without white space at its ends; it is not shown."""
    path = tmp_path / "keys" / "key"
    path.parent.mkdir()
    path.write_text(f"{SECRET}\n")
    key = read_key(path, {}, [tmp_path / "data.jsonl"])
    assert key == read_key(None, {VARIABLE: SECRET}, [])
    assert SECRET not in repr(key)


def test_a_key_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """None, a short one, one that is not there."""
    with pytest.raises(UsageError, match="surrogates need a key"):
        read_key(None, {}, [])
    with pytest.raises(SetupError, match="shorter than 16"):
        read_key(None, {VARIABLE: "short"}, [])
    with pytest.raises(SetupError, match="cannot read the key"):
        read_key(tmp_path / "absent", {}, [])


@pytest.mark.parametrize("data", ["rows.jsonl", "", "out"])
def test_a_key_beside_the_data_is_refused(tmp_path: Path, data: str) -> None:
    """In the folder of a file, and anywhere in a folder that is read or written."""
    (tmp_path / "rows.jsonl").touch()
    place = tmp_path / ("out/deep" if data == "out" else "")
    place.mkdir(parents=True, exist_ok=True)
    (place / "key").write_text(SECRET)
    with pytest.raises(SetupError, match="lies beside the data"):
        read_key(place / "key", {}, [tmp_path / data])
