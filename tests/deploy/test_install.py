"""requirements/install.sh, run with a stand-in for Python that writes down what it is asked for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT_INSTALL = ["install", "--quiet", "--no-deps"]


class Checkout:
    """A folder with the script, two locks and a Python that records its calls; `offers_torch` as
    pip finds it.
    """

    def __init__(self, folder: Path, *, offers_torch: bool = True) -> None:
        self._folder = folder
        (folder / "requirements").mkdir()
        shutil.copy(ROOT / "requirements" / "install.sh", folder / "requirements")
        (folder / "pyproject.toml").touch()
        self._python = folder / "python"
        refuse = "" if offers_torch else 'case "$*" in *--quiet*torch.txt) exit 1;; esac\n'
        self._python.write_text(f'#!/bin/sh\necho "$@" >> "{folder}/calls"\n{refuse}')
        self._python.chmod(0o755)

    def install(self, *before: str) -> list[list[str]]:
        """Run the script with flags before the interpreter; gives pip's arguments of each call."""
        script = self._folder / "requirements" / "install.sh"
        locks = ["requirements/torch.txt", "requirements/cpu.txt"]
        subprocess.run([script, *before, self._python, *locks], cwd="/", check=True)
        prefix = ["-m", "pip", "--disable-pip-version-check"]
        calls = [line.split() for line in (self._folder / "calls").read_text().splitlines()]
        assert all(call[:3] == prefix for call in calls)
        return [call[3:] for call in calls]

    def without_source(self) -> Checkout:
        """The folder as an image's first layer sees it."""
        (self._folder / "pyproject.toml").unlink()
        return self


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A folder to install from, where pip finds torch."""
    return Checkout(tmp_path)


def test_dependencies_never_pull_others_in(checkout: Checkout) -> None:
    """Every call says `--no-deps`: what is installed is what the locks name."""
    assert all("--no-deps" in call for call in checkout.install())


def test_torch_goes_in_a_call_of_its_own(checkout: Checkout) -> None:
    """No other package is ever asked of PyTorch's index."""
    torch, others, project = checkout.install()
    assert torch[-1] == "requirements/torch.txt"
    assert others[-1] == "requirements/cpu.txt"
    assert project == [*PROJECT_INSTALL, "--editable", "."]


def test_torch_comes_from_pytorchs_index_where_pip_finds_no_wheel(tmp_path: Path) -> None:
    """Only then, and only for torch."""
    calls = Checkout(tmp_path, offers_torch=False).install()
    with_index = [call for call in calls if "--extra-index-url" in call]
    assert [call[:4] for call in with_index] == [
        ["install", "--no-deps", "-r", "requirements/torch.txt"]
    ]
    assert len(calls) == 4


def test_an_image_gets_a_copy(checkout: Checkout) -> None:
    """`--copy` links to no folder."""
    assert checkout.install("--copy")[-1] == [*PROJECT_INSTALL, "."]


def test_locks_can_be_installed_before_the_source_is_there(checkout: Checkout) -> None:
    """An image's large layer does not depend on lorabay's code."""
    assert [call[-1] for call in checkout.without_source().install()] == [
        "requirements/torch.txt",
        "requirements/cpu.txt",
    ]
