"""`lorabay data deidentify` over files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.data.deidentify.files import FileWishes, count, deidentify
from lorabay.data.deidentify.keys import Key
from lorabay.data.deidentify.wishes import DeidentifyWishes
from lorabay.errors import SetupError

WISHES = FileWishes(deidentify=DeidentifyWishes(key=Key(b"0123456789abcdef")))
ROWS = [
    {"instruction": "电话13812345678", "output": "记下了，13812345678。"},
    {"instruction": "怎么退货？", "output": "请点击我的订单。"},
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Returns a folder of two files that name the same phone."""
    folder = tmp_path / "in"
    folder.mkdir()
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (folder / "a.jsonl").write_text("\n".join([*lines, "{broken"]), encoding="utf-8")
    (folder / "b.csv").write_text("question,answer\nMy cell is 138-1234-5678,Thanks a lot.\n")
    return folder


def test_each_file_is_written_with_the_same_surrogates(source: Path, tmp_path: Path) -> None:
    """The same bytes each time, and a list of what was changed."""
    report = deidentify([source], tmp_path / "out", WISHES)
    out = tmp_path / "out"
    first, second = (
        json.loads(line) for line in (out / "a.jsonl").read_text(encoding="utf-8").splitlines()
    )
    phone = first["instruction"][2:]
    assert phone != "13812345678"
    assert first["output"] == f"记下了，{phone}。"
    assert second["output"] == ROWS[1]["output"]
    other = json.loads((out / "b.csv.jsonl").read_text(encoding="utf-8"))
    assert other["instruction"] == f"My cell is {phone[:3]}-{phone[3:7]}-{phone[7:]}"

    changes = (out / "report" / "changes.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["reason"] for line in changes.splitlines()] == [
        "deidentified",
        "broken_line",
        "deidentified",
    ]
    assert report.as_dict() == json.loads((out / "report" / "report.json").read_text())
    assert report.found == {"PHONE": {"zh": 2, "en": 1}}

    deidentify([source], tmp_path / "again", WISHES)
    for path in out.rglob("*.json*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(out)).read_bytes()


def test_no_original_is_in_what_is_written(source: Path, tmp_path: Path) -> None:
    """Nor in the report."""
    deidentify([source], tmp_path / "out", WISHES)
    text = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json*"))
    assert "12345678" not in text
    assert "1234-5678" not in text


def test_counting_writes_nothing(source: Path, tmp_path: Path) -> None:
    """The figures are those of the real thing."""
    wishes = FileWishes(deidentify=DeidentifyWishes("tags"))
    assert count([source], wishes).found == {"PHONE": {"zh": 2, "en": 1}}
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_something_left_leaves_nothing(source: Path, tmp_path: Path) -> None:
    """A recogniser of one's own that finds its own tag."""
    own = tmp_path / "own.toml"
    own.write_text("[[recogniser]]\nname = 'ANY'\nregex = '订'\n", encoding="utf-8")
    wishes = FileWishes(deidentify=DeidentifyWishes("tags", recognisers=own))
    deidentify([source], tmp_path / "out", wishes)

    own.write_text("[[recogniser]]\nname = 'ANY'\nregex = '^.'\n", encoding="utf-8")
    deidentify([source], tmp_path / "other", wishes)

    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(SetupError, match="holds no rows"):
        deidentify([tmp_path / "empty.jsonl"], tmp_path / "new", WISHES)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (("chats.csv", "chats.csv.jsonl"), "chats.csv.jsonl would both become chats.csv.jsonl"),
        (("a.jsonl", "report/changes.jsonl"), "which is the list of changes"),
        (("a.jsonl", "a.jsonl.jsonl/b.jsonl", "a.jsonl.csv"), None),
    ],
)
def test_no_output_overwrites_another(
    tmp_path: Path, names: tuple[str, ...], fault: str | None
) -> None:
    """Nor the report; it is told before anything is read."""
    paths = [tmp_path / "in" / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("question,answer\nWhy?,So.\n")
    if fault is None:
        deidentify(paths, tmp_path / "out", WISHES)
    else:
        with pytest.raises(SetupError, match=fault):
            deidentify(paths, tmp_path / "out", WISHES)
        assert not (tmp_path / "out").exists()
