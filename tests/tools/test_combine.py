"""`combine` writes one plain adapter from a composite, or one line and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lorabay.base.shapes import BaseShapes
from lorabay.catalog.admission import Checks, validate
from lorabay.catalog.versions import AdapterSpec
from lorabay.cli import run
from lorabay.errors import SetupError
from lorabay.tools.combine import combine
from tests import making
from tests.nobody import as_nobody


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return making.make_base(tmp_path / "tiny-llama")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make two members and their composite."""
    for seed, name in enumerate(("one", "two")):
        making.make_adapter(tmp_path / "adapters" / name, tensors=making.lora_tensors(seed=seed))
    made = tmp_path / "adapters" / "both"
    made.mkdir()
    (made / "composite.toml").write_text(
        'method = "cat"\n'
        '[[members]]\nadapter = "one"\nweight = 0.5\n'
        '[[members]]\nadapter = "../two"\n'
    )
    (made / "README.md").write_text("A card.")
    return made


def test_the_result_is_a_plain_adapter(folder: Path, base: Path, tmp_path: Path) -> None:
    """A server accepts it; the card comes along and nothing else."""
    report = combine(folder, base, tmp_path / "out")
    assert (report.rank, report.modules) == (8, 4)
    assert report.weights == {"one": 0.5, "../two": 1.0}
    assert "cat" in report.describe()
    found = validate(tmp_path / "out", Checks(BaseShapes.read(base), 16))
    assert isinstance(found, AdapterSpec)
    assert found.rank == 8
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"adapter_config.json", "adapter_model.safetensors", "README.md"}


def test_the_command(
    folder: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Success is exit code 0 and JSON; an output in use is exit code 1 and one line."""
    arguments = ["combine", str(folder), "-o", str(tmp_path / "out"), "--base", str(base), "--json"]
    assert run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["method"] == "cat"
    assert run(arguments) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_what_is_wrong_is_told_in_one_line(folder: Path, base: Path, tmp_path: Path) -> None:
    """Outputs inside inputs, members elsewhere and broken composites are refused."""

    def refusal(output: Path) -> str:
        with pytest.raises(SetupError) as caught:
            combine(folder, base, output)
        assert "\n" not in caught.value.message
        return caught.value.message

    assert "inside" in refusal(folder / "out")
    assert "inside" in refusal(folder.parent / "one" / "out")
    assert "inside" in refusal(base / "out")
    elsewhere = making.make_adapter(tmp_path / "elsewhere" / "three")
    (folder / "composite.toml").write_text(f'[[members]]\nadapter = "{elsewhere}"')
    assert "outside" in refusal(tmp_path / "out")
    assert combine(folder, base, tmp_path / "allowed", roots=[tmp_path / "elsewhere"]).rank == 4
    (folder / "composite.toml").write_text("method = 3")
    assert "members" in refusal(tmp_path / "out")
    (folder / "composite.toml").unlink()
    assert "composite.toml" in refusal(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_inside_a_member_of_a_member_is_refused(folder: Path, base: Path) -> None:
    """It was once only looked for among the direct members."""
    outer = folder.with_name("outer")
    outer.mkdir()
    (outer / "composite.toml").write_text('method = "cat"\n[[members]]\nadapter = "both"\n')
    before = sorted(folder.parent.rglob("*"))
    for inside in ("one", "both"):
        with pytest.raises(SetupError, match="inside"):
            combine(outer, base, folder.with_name(inside) / "out")
    (folder / "composite.toml").write_text('[[members]]\nadapter = "outer"\n')
    with pytest.raises(SetupError, match="contains itself"):
        combine(outer, base, folder.parent.parent / "out")
    assert sorted(folder.parent.rglob("*")) == before


def test_a_recipe_beside_weights_is_not_combined(folder: Path, base: Path, tmp_path: Path) -> None:
    """Such a folder is an adapter; it was once copied and reported as the combination."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (folder / name).write_bytes((folder.parent / "one" / name).read_bytes())
    with pytest.raises(SetupError, match="adapter with weights of its own"):
        combine(folder, base, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "closed", ["both", "both/composite.toml", "one", "two/adapter_model.safetensors"]
)
def test_what_may_not_be_read_is_told_with_its_own_path(
    closed: str, folder: Path, base: Path, tmp_path: Path
) -> None:
    """The output folder is not blamed."""
    mode = (folder.parent / closed).stat().st_mode
    (folder.parent / closed).chmod(0)
    with as_nobody(tmp_path), pytest.raises(SetupError) as caught:
        combine(folder, base, tmp_path / "out")
    (folder.parent / closed).chmod(mode)
    assert "Permission denied" in caught.value.message
    assert "out" not in caught.value.message.replace(str(tmp_path), "")
    if closed.startswith("both"):
        assert str(folder) in caught.value.message
        assert "composite.toml cannot be read" in caught.value.message
    else:
        # A member is named as the recipe names it, and with the folder that this leads to.
        member = (
            "'../two' in " if closed.startswith("two") else f"'one' in '{folder.parent / 'one'}'"
        )
        assert f"member {member}" in caught.value.message
    assert not (tmp_path / "out").exists()


def test_settings_without_effect_are_refused(
    folder: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line names the methods that have them."""
    text = (folder / "composite.toml").read_text()
    (folder / "composite.toml").write_text(f"seed = 3\nmajority_sign_method = 'total'\n{text}")
    assert run(["combine", str(folder), "-o", str(tmp_path / "out"), "--base", str(base)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "method cat has no seed; it is for dare_linear, dare_ties" in line
    assert "method cat has no majority_sign_method; it is for dare_ties, ties" in line


def test_the_same_seed_gives_the_same_bytes(folder: Path, base: Path, tmp_path: Path) -> None:
    """Another seed gives other bytes."""
    text = (folder / "composite.toml").read_text().replace('"cat"', '"dare_ties"')
    made = []
    for number, seed in enumerate((5, 5, 6)):
        (folder / "composite.toml").write_text(f"density = 0.5\nseed = {seed}\n{text}")
        combine(folder, base, tmp_path / str(number))
        made.append((tmp_path / str(number) / "adapter_model.safetensors").read_bytes())
    assert made[0] == made[1] != made[2]
