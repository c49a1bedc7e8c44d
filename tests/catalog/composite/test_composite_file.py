"""A composite.toml is checked completely: no setting is accepted that would do nothing."""

from __future__ import annotations

import typing
from pathlib import Path

import pytest

from lorabay.algebra.combination import MethodName
from lorabay.catalog.composite.composite_file import Composite, member_folder, read_composite
from lorabay.reasons import Rejected

USES = {
    "linear": set(),
    "cat": set(),
    "svd": {"rank"},
    "ties": {"density", "majority_sign_method"},
    "dare_linear": {"density", "seed"},
    "dare_ties": {"density", "majority_sign_method", "seed"},
    "magnitude_prune": {"density"},
}
VALUES = {"density": "0.5", "majority_sign_method": '"total"', "rank": "4", "seed": "0"}


def read(folder: Path, *lines: str, members: int = 2) -> Composite | Rejected:
    text = "\n".join(
        [*lines, *(f'[[members]]\nadapter = "m{number}"' for number in range(members))]
    )
    (folder / "composite.toml").write_text(text)
    return read_composite(folder)


def test_what_it_says_when_it_says_little(tmp_path: Path) -> None:
    """A weight is 1, the method linear and the seed 0 unless the file says otherwise."""
    found = read(tmp_path, members=1)
    assert isinstance(found, Composite)
    assert (found.method, found.seed, found.members[0].weight) == ("linear", 0, 1.0)


@pytest.mark.parametrize("setting", VALUES)
@pytest.mark.parametrize("method", typing.get_args(MethodName))
def test_a_setting_that_the_method_does_not_use_is_refused(
    method: str, setting: str, tmp_path: Path
) -> None:
    """Even a default value is refused for a method that ignores it; the reason names the users."""
    needed = {"density"} & USES[method]
    found = read(
        tmp_path,
        f'method = "{method}"',
        *(f"{name} = {VALUES[name]}" for name in {*needed, setting}),
    )
    if setting in USES[method]:
        assert isinstance(found, Composite)
        return
    assert isinstance(found, Rejected)
    (reason,) = found.reasons
    users = ", ".join(sorted(other for other, used in USES.items() if setting in used))
    assert reason.text.endswith(f"method {method} has no {setting}; it is for {users}")


@pytest.mark.parametrize("method", typing.get_args(MethodName))
def test_one_member_is_only_scaled(method: str, tmp_path: Path) -> None:
    """PEFT would accept the setting and silently ignore it."""
    found = read(
        tmp_path,
        f'method = "{method}"',
        *(f"{name} = {VALUES[name]}" for name in USES[method]),
        members=1,
    )
    if method in {"linear", "cat"}:
        assert isinstance(found, Composite)
    else:
        assert isinstance(found, Rejected)
        assert "needs two members or more" in found.reasons[0].text


def test_every_problem_is_told(tmp_path: Path) -> None:
    """Every problem is reported, not only the first."""
    found = read(tmp_path, 'method = "ties"', "rank = 4", "seed = 1")
    assert isinstance(found, Rejected)
    assert len(found.reasons) == 3
    found = read(tmp_path, "method = 3", "densty = 0.5")
    assert isinstance(found, Rejected)
    assert len(found.reasons) == 2


def test_where_members_are(tmp_path: Path) -> None:
    """A name is a folder beside the composite; a path starts in the composite."""
    folder = tmp_path / "both"
    assert member_folder(folder, "one") == tmp_path / "one"
    assert member_folder(folder, "./one") == folder / "one"
    assert member_folder(folder, "/one") == Path("/one")


def test_a_file_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    """It begins with a mark, and its lines end otherwise."""
    assert isinstance(read(tmp_path, '\ufeffmethod = "cat"\r'), Composite)


def test_a_key_of_thousands_of_parts(tmp_path: Path) -> None:
    """It is refused before it is parsed, which would take a gigabyte."""
    found = read(tmp_path, ".".join("a" * 2000) + " = 1")
    assert isinstance(found, Rejected)
    assert "a key has more than 16 parts" in found.line


def test_a_large_file(tmp_path: Path) -> None:
    """A file has 64 KiB at most, far over what sixteen members need."""
    found = read(tmp_path, "#" * (1 << 16))
    assert isinstance(found, Rejected)
    assert found.codes == {"file_too_large"}
