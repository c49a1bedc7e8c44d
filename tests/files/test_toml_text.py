"""TOML of strangers is read as `tomllib` reads it, unless it would take too much."""

from __future__ import annotations

import tomllib

import pytest

from lorabay.files.toml_text import (
    BRACKETS_AT_MOST,
    DEPTH_AT_MOST,
    DOTS_AT_MOST,
    KEY_PARTS_AT_MOST,
    read_toml,
)

LONG = ".".join("a" * (KEY_PARTS_AT_MOST + 1))
LONGEST = ".".join("a" * KEY_PARTS_AT_MOST)


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG} = 1",
        f"b = 1\n{LONG} = 1",
        f"[{LONG}]",
        f"[[{LONG}]]",
        f"b = {{ {LONG} = 1 }}",
        f"b = {{ c = 1, {LONG} = 1 }}",
        LONG.replace(".", " .\t") + " = 1",
        LONG.replace("a", '"a b"') + " = 1",
        LONG.replace("a", "'#'") + " = 1",
        f'b = "#"\n{LONG} = 1',
        f'b = "\\""\n{LONG} = 1',
        f"b = '\\'\n{LONG} = 1",
        f'b = """a"""""\n{LONG} = 1',
        f'b = """\\""""\n{LONG} = 1',
        f"b = '''a'''''\n{LONG} = 1",
        f"b = ''''''\n{LONG} = 1",
        f"# '\n{LONG} = 1",
        f"b = 1\r\n{LONG} = 1\r\n",
    ],
)
def test_a_key_of_many_parts_is_refused(text: str) -> None:
    """Wherever it stands and whatever stands before it; such a text is TOML otherwise."""
    assert tomllib.loads(text)
    with pytest.raises(ValueError, match="a key has more than 16 parts"):
        read_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{LONGEST} = 1\n[b]\n{LONGEST} = 1",
        f'b = "{LONG}"',
        f"b = '{LONG}'",
        f'b = """\n{LONG}\n" ""{LONG}\\"""\n{LONG}"""',
        f"b = '''\n{LONG}\n' ''{LONG}'''",
        f"b = 1 # {LONG}",
        "b = [" + "1.5, " * 100 + "]",
        "b = [" + "\n1979-05-27T07:32:00.999,\n" * 100 + "]",
        "[[b]]\na.c = 1\n" * 100,
    ],
)
def test_what_any_author_writes_is_read(text: str) -> None:
    """Dots in texts, comments and numbers are none of keys."""
    assert read_toml(text) == tomllib.loads(text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\n".join(f"a{n}.b.c = 1" for n in range(DOTS_AT_MOST)), "more than 4096 dots"),
        ("[[a]]\n" * BRACKETS_AT_MOST, "more than 8192 brackets"),
        ("a = " + "[" * (DEPTH_AT_MOST + 1) + "]" * (DEPTH_AT_MOST + 1), r"deep \(line 1\)"),
    ],
)
def test_what_takes_much_in_all_is_refused(text: str, sentence: str) -> None:
    """Many short keys, many tables, and deep ones."""
    assert tomllib.loads(text)
    with pytest.raises(ValueError, match=sentence):
        read_toml(text)


@pytest.mark.parametrize(
    "text", ["a = '", 'a = """b', f'a = "{LONG}', "a = '''" + "[" * 100, "a =", f"\x00{LONG}=1"]
)
def test_an_error_is_one(text: str) -> None:
    """Nothing that is no TOML becomes a table."""
    with pytest.raises(ValueError, match=r".+"):
        read_toml(text)
