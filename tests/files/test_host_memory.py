"""The memory that a process may use, read from a made-up /proc and /sys."""

from __future__ import annotations

from pathlib import Path

import pytest

from lorabay.files.host_memory import free_memory_bytes, host_memory_bytes

MIB = 1 << 20
GROUP_1, GROUP_2 = "4:memory:/docker/abc", "0::/system.slice/lorabay.service"


def make(root: Path, groups: str, **limits: str) -> Path:
    """Write what the kernel says: a process's groups, and files of limits by their place."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for place, text in limits.items():
        path = root / "sys/fs/cgroup" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_machine_without_groups_gives_all_that_it_has(tmp_path: Path) -> None:
    """The size is in bytes."""
    assert 256 * MIB < host_memory_bytes(tmp_path) < 1 << 50


def test_this_process_may_not_use_more_than_the_machine_has(tmp_path: Path) -> None:
    assert 0 < host_memory_bytes() <= host_memory_bytes(tmp_path)


@pytest.mark.parametrize(
    ("groups", "place", "expected"),
    [
        ("0::/\n", "memory.max", 64),
        (GROUP_2, "system.slice/lorabay.service/memory.max", 64),
        (GROUP_2, "system.slice/memory.max", 64),
        (GROUP_2, "system.slice/lorabay.service/memory.high", 64),
        (GROUP_1, "memory/docker/abc/memory.limit_in_bytes", 64),
        (GROUP_1, "memory/docker/memory.limit_in_bytes", 64),
        # A container sees its own group at the mount.
        (GROUP_1, "memory/memory.limit_in_bytes", 64),
        ("0::/../other", "memory.max", 64),
        (f"9:name=systemd:/\n{GROUP_1}\n0::/", "memory/docker/abc/memory.limit_in_bytes", 64),
    ],
)
def test_a_limit_anywhere_above_the_process_counts(
    tmp_path: Path, groups: str, place: str, expected: int
) -> None:
    """Of either version of control groups, wherever in the tree it is set."""
    root = make(tmp_path, groups, **{place: f"{expected * MIB}\n"})
    assert host_memory_bytes(root) == expected * MIB


def test_the_smallest_limit_counts(tmp_path: Path) -> None:
    root = make(
        tmp_path,
        GROUP_2,
        **{
            "system.slice/memory.max": str(32 * MIB),
            "system.slice/lorabay.service/memory.max": str(64 * MIB),
        },
    )
    assert host_memory_bytes(root) == 32 * MIB


@pytest.mark.parametrize("text", ["max", "", "9223372036854771712", "what?"])
def test_no_limit_is_no_limit(tmp_path: Path, text: str) -> None:
    """The words of both versions for none, and what cannot be understood."""
    root = make(tmp_path, "0::/", **{"memory.max": text})
    assert host_memory_bytes(root) == host_memory_bytes(tmp_path / "nowhere")


def test_groups_that_do_not_hold_memory_say_nothing(tmp_path: Path) -> None:
    root = make(tmp_path, "3:cpu,cpuacct:/x", **{"memory/x/memory.limit_in_bytes": "1"})
    assert host_memory_bytes(root) > MIB


def test_what_is_free_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    """A machine without groups; where the kernel says nothing, all that it has."""
    make(tmp_path, "0::/\n")
    assert free_memory_bytes(tmp_path) == host_memory_bytes(tmp_path)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    2048 kB\n")
    assert free_memory_bytes(tmp_path) == 2 * MIB


@pytest.mark.parametrize(
    ("groups", "folder", "files"),
    [
        ("0::/\n", "", ("memory.max", "memory.current", "")),
        (
            GROUP_1,
            "memory/docker/abc/",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
        ),
    ],
)
def test_a_group_has_left_what_it_does_not_use(
    tmp_path: Path, groups: str, folder: str, files: tuple[str, str, str]
) -> None:
    """Files that the system keeps in memory count as free: it gives them up first."""
    limit, used, prefix = files
    written = {
        folder + limit: str(64 * MIB),
        folder + used: str(60 * MIB),
        folder + "memory.stat": f"{prefix}inactive_file {10 * MIB}\n{prefix}active_file {MIB}\n",
    }
    make(tmp_path, groups, **written)
    assert free_memory_bytes(tmp_path) == 15 * MIB
    (tmp_path / "sys/fs/cgroup" / (folder + used)).write_text(str(80 * MIB))
    assert free_memory_bytes(tmp_path) == 0
